"""Values that are served past their time, on both backends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from math import inf
from typing import Final

import pytest

from tests.cache.sources import Source, always, counted, never, services
from tests.peers.gateways import eventually
from tests.peers.redis import RedisServer
from uaitools.cache.lifetime import Kept, Lifetime, Outcome, Served
from uaitools.cache.local import LocalCache
from uaitools.cache.service import CacheService
from uaitools.errors import ServiceError
from uaitools.tasks import spawn

FRESH: Final = Lifetime(60)
PAST: Final = Lifetime(0.001, revalidate=60, if_error=60)
"""Its time is over as soon as it is there."""


@pytest.fixture(params=["local", "redis"])
async def cache(request: pytest.FixtureRequest, redis: RedisServer) -> AsyncIterator[CacheService]:
    if request.param == "local":
        yield CacheService(LocalCache(1 << 20, 100), "c", largest=1000)
    else:
        async with services(redis) as (one,):
            yield one


def failing(code: int) -> Callable[[], Awaitable[bytes]]:
    async def load() -> bytes:
        raise ServiceError(code, "no", "test")

    return load


async def serving(
    cache: CacheService, source: Source, lifetime: Lifetime = FRESH, *, oldest: float = inf
) -> asyncio.Task[Served]:
    before = len(source.loads)
    task = spawn(cache.serve("k", source, lifetime, oldest=oldest), name="serves")
    await eventually(lambda: len(source.loads) > before)
    return task


async def kept(cache: CacheService, lifetime: Lifetime) -> None:
    assert (await cache.serve("k", always(b"old"), lifetime)).outcome is Outcome.MISS
    await asyncio.sleep(0.002)


async def test_a_fresh_value_is_a_hit_with_an_age(cache: CacheService) -> None:
    first = await cache.serve("k", always(b"1"), FRESH)
    assert (first.value, first.outcome) == (b"1", Outcome.MISS)
    again = await cache.serve("k", never, FRESH)
    assert (again.value, again.outcome) == (b"1", Outcome.HIT)
    assert 0 <= first.age <= again.age < 10


async def test_a_thousand_who_come_at_once_are_one_load(cache: CacheService) -> None:
    source = Source()
    first = await serving(cache, source)
    others = [spawn(cache.serve("k", source, FRESH), name="serves") for _ in range(999)]
    await eventually(lambda: counted(cache, "cache_misses_total") == 1000)
    source.loads[0].set_result(b"1")
    assert (await first).outcome is Outcome.MISS
    served = await asyncio.gather(*others)
    assert {one.outcome for one in served} == {Outcome.COALESCED}
    assert len(source.loads) == 1


async def test_what_is_past_its_time_is_used_while_it_is_loaded_once(cache: CacheService) -> None:
    await kept(cache, PAST)
    source = Source()
    for _ in range(3):
        served = await cache.serve("k", source, PAST)
        assert (served.value, served.outcome) == (b"old", Outcome.STALE)
    await eventually(lambda: source.loads)
    source.loads[0].set_result(b"new")
    await eventually(lambda: counted(cache, "cache_loads") == 0)
    assert len(source.loads) == 1
    assert (await cache.serve("k", always(b"newer"), PAST)).value == b"new"
    assert counted(cache, "cache_stale_total") >= 3


async def test_without_such_a_time_it_is_waited_for(cache: CacheService) -> None:
    await kept(cache, Lifetime(0.001, if_error=60))
    served = await cache.serve("k", always(b"new"), FRESH)
    assert (served.value, served.outcome) == (b"new", Outcome.MISS)
    assert (await cache.serve("k", never, FRESH)).value == b"new"


@pytest.mark.parametrize("code", [500, 503])
async def test_what_cannot_be_loaded_is_used_past_its_time(cache: CacheService, code: int) -> None:
    await kept(cache, lifetime := Lifetime(0.001, if_error=60))
    served = await cache.serve("k", failing(code), lifetime)
    assert (served.value, served.outcome) == (b"old", Outcome.STALE)
    assert served.age > 0
    served = await cache.serve("k", failing(code), lifetime, oldest=0)
    assert (served.value, served.outcome) == (b"old", Outcome.STALE)
    served = await cache.serve("k", always(b"new"), lifetime)
    assert (served.value, served.outcome) == (b"new", Outcome.MISS)


async def test_it_is_used_no_longer_than_that(cache: CacheService) -> None:
    await kept(cache, Lifetime(0.001, if_error=0.001, revalidate=60))
    with pytest.raises(ServiceError, match="503"):
        await cache.serve("k", failing(503), Lifetime(0.001, if_error=0.0001))


async def test_what_is_said_to_be_gone_is_not_used(cache: CacheService) -> None:
    await kept(cache, PAST)
    with pytest.raises(ServiceError, match="404"):
        await cache.serve("k", failing(404), PAST, oldest=0)
    with pytest.raises(ServiceError, match="503"):
        await cache.serve("k", failing(503), PAST)


async def test_what_is_older_than_asked_for_is_loaded_again(cache: CacheService) -> None:
    await kept(cache, FRESH)
    assert (await cache.serve("k", never, FRESH, oldest=60)).outcome is Outcome.HIT
    served = await cache.serve("k", always(b"new"), FRESH, oldest=0)
    assert (served.value, served.outcome) == (b"new", Outcome.MISS)
    assert (await cache.serve("k", never, FRESH)).value == b"new"


async def test_a_load_from_before_a_delete_is_not_kept(cache: CacheService) -> None:
    await kept(cache, PAST)
    source = Source()
    await cache.serve("k", source, PAST)
    await eventually(lambda: source.loads)
    await cache.delete("k")
    source.loads[0].set_result(b"old as well")
    await eventually(lambda: counted(cache, "cache_loads") == 0)
    assert (await cache.serve("k", always(b"new"), PAST)).value == b"new"


async def test_what_is_too_large_is_served_and_not_kept() -> None:
    cache = CacheService(LocalCache(1 << 20, 100), "c", largest=10)
    for _ in range(2):
        assert (await cache.serve("k", always(b"v" * 11), FRESH)).outcome is Outcome.MISS


def test_lifetimes_differ_by_their_jitter() -> None:
    lifetime = Lifetime(100, jitter=0.2, revalidate=5, if_error=50)
    assert [lifetime.drawn(chance) for chance in (0, 0.5, 1)] == [100, 90, 80]
    assert lifetime.longest == 150


def test_a_kept_value_is_read_as_it_was_written() -> None:
    one = Kept(1.5, 60.0, b"\x00value")
    assert Kept.read(one.written) == one


async def test_another_process_s_load_is_waited_for(redis: RedisServer) -> None:
    async with services(redis, redis) as (one, other):
        source = Source()
        first = await serving(one, source, Lifetime(60, patience=30))
        second = spawn(other.serve("k", never, Lifetime(60, patience=30)), name="serves")
        await eventually(lambda: counted(other, "cache_loads") == 1)
        source.loads[0].set_result(b"1")
        assert (await first).outcome is Outcome.MISS
        served = await second
        assert (served.value, served.outcome) == (b"1", Outcome.COALESCED)


async def test_when_another_process_s_load_fails_its_place_is_taken_at_once(
    redis: RedisServer,
) -> None:
    async with services(redis, redis) as (one, other):
        source = Source()
        first = await serving(one, source, Lifetime(60, patience=600))
        second = spawn(other.serve("k", always(b"2"), Lifetime(60, patience=600)), name="serves")
        await eventually(lambda: counted(other, "cache_loads") == 1)
        source.loads[0].set_exception(ServiceError(503, "no", "test"))
        with pytest.raises(ServiceError, match="503"):
            await first
        served = await second
        assert (served.value, served.outcome) == (b"2", Outcome.MISS)


async def test_who_waits_too_long_for_another_process_loads_by_itself(redis: RedisServer) -> None:
    async with services(redis, redis) as (one, other):
        source = Source()
        first = await serving(one, source)
        served = await other.serve("k", always(b"2"), Lifetime(60, patience=0.05))
        assert (served.value, served.outcome) == (b"2", Outcome.MISS)
        source.loads[0].set_result(b"1")
        assert (await first).value == b"1"
        assert (await one.serve("k", never, FRESH)).value == b"2"


async def test_a_value_past_its_time_is_loaded_again_by_one_process(redis: RedisServer) -> None:
    async with services(redis, redis) as (one, other):
        await kept(one, PAST)
        source = Source()
        assert (await one.serve("k", source, PAST)).outcome is Outcome.STALE
        await eventually(lambda: source.loads)
        assert (await other.serve("k", never, PAST)).outcome is Outcome.STALE
        source.loads[0].set_result(b"new")
        await eventually(lambda: counted(one, "cache_loads") == 0)
        assert (await other.serve("k", never, Lifetime(60, revalidate=60))).value == b"new"


async def test_without_redis_every_value_is_loaded_and_none_is_an_error(
    redis: RedisServer,
) -> None:
    async with services(redis) as (cache,):
        await redis.kill()
        for value in (b"1", b"2"):
            served = await cache.serve("k", always(value), FRESH)
            assert (served.value, served.outcome) == (value, Outcome.MISS)
