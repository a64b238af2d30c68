"""One load at a time, on the cache in this process; test_redis has the other."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from tests.cache.sources import TTL, Source, always, never
from tests.peers.gateways import eventually
from uaitools.cache.config import CacheConfig
from uaitools.cache.local import LocalCache
from uaitools.cache.service import CacheService
from uaitools.errors import ServiceError
from uaitools.metrics import Snapshot
from uaitools.tasks import spawn


def service(largest: int = 1000) -> CacheService:
    return CacheService(LocalCache(1 << 20, 100), "c", largest=largest)


def fetching(cache: CacheService, source: Source) -> asyncio.Task[bytes]:
    return spawn(cache.fetch("k", source, TTL), name="fetches")


def counted(cache: CacheService) -> dict[str, object]:
    families = Snapshot.of(cache.samples()).families
    return {family.name: values[("cache", "c"),] for family, values in families.items()}


async def test_all_who_want_a_key_wait_for_one_load() -> None:
    cache, source = service(), Source()
    waiters = [fetching(cache, source) for _ in range(50)]
    await eventually(lambda: source.loads)
    assert counted(cache)["cache_loads"] == 1
    source.loads[0].set_result(b"1")
    assert await asyncio.gather(*waiters) == [b"1"] * 50
    assert len(source.loads) == 1
    assert await cache.fetch("k", never, TTL) == b"1"
    counts = counted(cache)
    assert (counts["cache_hits_total"], counts["cache_misses_total"]) == (1, 50)
    assert counts["cache_loads"] == 0


async def test_a_cache_without_room_still_loads_once() -> None:
    cache, source = CacheService(LocalCache(0, 0), "c"), Source()
    waiters = [fetching(cache, source) for _ in range(3)]
    await eventually(lambda: source.loads)
    await cache.fetch("l", always(b"2"), TTL)
    waiters.append(fetching(cache, source))
    await asyncio.sleep(0)
    source.loads[0].set_result(b"1")
    assert await asyncio.gather(*waiters) == [b"1"] * 4
    assert len(source.loads) == 1


async def test_keys_are_loaded_side_by_side() -> None:
    cache, source = service(), Source()
    waiters = [spawn(cache.fetch(key, source, TTL), name=key) for key in "ab"]
    await eventually(lambda: len(source.loads) == 2)
    for load in source.loads:
        load.set_result(b"1")
    await asyncio.gather(*waiters)


async def test_a_waiter_that_is_cancelled_leaves_the_load_to_the_others() -> None:
    cache, source = service(), Source()
    first, second = fetching(cache, source), fetching(cache, source)
    await eventually(lambda: source.loads)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    source.loads[0].set_result(b"1")
    assert await second == b"1"
    assert len(source.loads) == 1


async def test_a_load_that_nobody_waits_for_any_more_is_kept() -> None:
    cache, source = service(), Source()
    waiter = fetching(cache, source)
    await eventually(lambda: source.loads)
    waiter.cancel()
    await asyncio.wait((waiter,))
    source.loads[0].set_result(b"1")
    await eventually(lambda: counted(cache)["cache_loads"] == 0)
    assert await cache.get("k") == b"1"


async def test_a_failure_reaches_all_who_wait_and_is_not_kept() -> None:
    cache, source = service(), Source()
    waiters = [fetching(cache, source) for _ in range(3)]
    await eventually(lambda: source.loads)
    source.loads[0].set_exception(LookupError("nothing there"))
    for waiter in waiters:
        with pytest.raises(LookupError, match="nothing there"):
            await waiter
    assert await cache.fetch("k", always(b"2"), TTL) == b"2"


async def test_a_failure_that_nobody_waits_for_any_more_is_no_news() -> None:
    cache, source = service(), Source()
    waiter = fetching(cache, source)
    await eventually(lambda: source.loads)
    waiter.cancel()
    await asyncio.wait((waiter,))
    with capture_logs() as logs:
        source.loads[0].set_exception(LookupError("nothing there"))
        await eventually(lambda: counted(cache)["cache_loads"] == 0)
        for _ in range(3):  # a task that fails is reported two turns later
            await asyncio.sleep(0)
    assert logs == []


async def test_who_comes_after_a_delete_joins_no_load_from_before_it() -> None:
    cache, source = service(), Source()
    old = fetching(cache, source)
    await eventually(lambda: len(source.loads) == 1)
    assert await cache.delete("k")
    new = fetching(cache, source)
    await eventually(lambda: len(source.loads) == 2)
    source.loads[1].set_result(b"new")
    assert await new == b"new"
    source.loads[0].set_result(b"old")
    assert await old == b"old"
    assert await cache.get("k") == b"new"
    assert counted(cache)["cache_refused_total"] == 1


async def test_a_load_that_ends_after_a_delete_is_not_kept() -> None:
    cache, source = service(), Source()
    waiter = fetching(cache, source)
    await eventually(lambda: source.loads)
    await cache.delete("k")
    source.loads[0].set_result(b"old")
    assert await waiter == b"old"
    assert not await cache.exists("k")


async def test_a_load_from_before_a_set_does_not_replace_it() -> None:
    cache, source = service(), Source()
    waiter = fetching(cache, source)
    await eventually(lambda: source.loads)
    await cache.set("k", b"new", TTL)
    assert await cache.fetch("k", never, TTL) == b"new"
    source.loads[0].set_result(b"old")
    await waiter
    assert await cache.get("k") == b"new"


async def test_a_value_that_is_too_large_is_not_kept_and_neither_is_what_it_replaces() -> None:
    cache = service(largest=10)
    assert await cache.fetch("k", always(b"v" * 11), TTL) == b"v" * 11
    assert await cache.get("k") is None
    await cache.set("k", b"v" * 10, TTL)
    await cache.set("k", b"v" * 11, TTL)
    assert await cache.get("k") is None


async def test_json_comes_back_as_it_was() -> None:
    cache = service()
    assert await cache.get_json("k") is None
    await cache.set_json("k", {"a": [1, None, "é"]}, TTL)
    assert await cache.get_json("k") == {"a": [1, None, "é"]}
    with pytest.raises(TypeError):
        await cache.set_json("k", object(), TTL)


@pytest.mark.parametrize("ttl", [0, -1, float("nan"), float("inf"), 1e9])
async def test_a_time_to_live_that_is_none_is_refused(ttl: float) -> None:
    cache = service()
    with pytest.raises(ValueError, match="time to live"):
        await cache.set("k", b"", ttl)
    with pytest.raises(ValueError, match="time to live"):
        await cache.fetch("k", never, ttl)


async def test_stopping_ends_loads_and_says_so() -> None:
    cache, source = service(), Source()
    waiters = [fetching(cache, source) for _ in range(2)]
    await eventually(lambda: source.loads)
    await cache.delete("k")
    waiters.append(fetching(cache, source))
    await eventually(lambda: len(source.loads) == 2)
    await cache.stop()
    for waiter in waiters:
        with pytest.raises(ServiceError) as caught:
            await waiter
        assert caught.value.code == 503


async def test_its_table_makes_the_cache_that_the_component_uses() -> None:
    local = CacheConfig(size=1000, entries=1).cache("c", None)
    await local.set("k", b"v" * 600, TTL)
    await local.set("l", b"v" * 600, TTL)
    assert [await local.exists(key) for key in "kl"] == [False, True]
    shared = CacheConfig().cache("c", "redis://127.0.0.1:1/0")
    assert "RedisCache" in repr(shared)
    await shared.stop()
