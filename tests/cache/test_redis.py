"""Services that share a Redis."""

from __future__ import annotations

import asyncio
from typing import Final

import pytest

from tests.cache.sources import TTL, Source, always, counted, loading, never, services
from tests.peers.redis import RedisServer
from uaitools.cache.redis import RedisCache
from uaitools.cache.script import CLAIM, STORE, prefix_of
from uaitools.redis_link import Link
from uaitools.tasks import spawn

PREFIX: Final = prefix_of("c")


async def test_what_one_has_loaded_the_other_finds(redis: RedisServer) -> None:
    async with services(redis, redis) as (one, other):
        assert await one.fetch("k", always(b"1"), TTL) == b"1"
        assert await other.fetch("k", never, TTL) == b"1"
        await other.delete("k")
        assert await one.get("k") is None


async def test_caches_of_other_names_are_others(redis: RedisServer) -> None:
    ways = [RedisCache(redis.url, name) for name in ("a", "b", "a}:k:", "a%7D:k:", "{a")]
    for number, cache in enumerate(ways):
        await cache.set("k", b"%d" % number, TTL)
    for number, cache in enumerate(ways):
        assert await cache.get("k") == b"%d" % number
        await cache.stop()


async def test_a_load_from_before_a_delete_elsewhere_is_not_kept(redis: RedisServer) -> None:
    async with services(redis, redis) as (one, other):
        source = Source()
        task = await loading(one, source)
        assert await other.delete("k")
        source.loads[0].set_result(b"old")
        assert await task == b"old"
        assert await other.fetch("k", always(b"new"), TTL) == b"new"
        assert counted(one, "cache_refused_total") == 1


async def test_loads_in_two_processes_are_both_refused_by_one_delete(redis: RedisServer) -> None:
    async with services(redis, redis) as (one, other):
        source = Source()
        tasks = [await loading(one, source), await loading(other, source)]
        await one.delete("k")
        fresh = Source()
        after = await loading(other, fresh)
        for load in source.loads:
            load.set_result(b"old")
        await asyncio.gather(*tasks)
        assert not await one.exists("k")
        fresh.loads[0].set_result(b"new")
        assert await after == b"new"
        assert await one.get("k") == b"new"


async def test_a_load_comes_not_between_the_two_steps_of_a_set(redis: RedisServer) -> None:
    link = Link(redis.url, PREFIX, identified=True)
    async with services(redis) as (cache,):
        (claimed,) = await link.call(CLAIM, "0" * 16, b"k", "token")
        assert await cache.fetch("k", always(b"old"), TTL) == b"old"
        assert await link.call(STORE, "0" * 16, b"k", claimed, 60_000, b"set") == [1]
        assert await cache.get("k") == b"set"
    await link.close()


async def test_a_delete_among_many_other_calls_is_done(redis: RedisServer) -> None:
    async with services(redis) as (cache,):
        names = [f"k{number}" for number in range(100)]
        await asyncio.gather(*(cache.set(name, b"1", TTL) for name in names))
        calls = [(cache.delete(name), cache.get(name), cache.exists("l")) for name in names[::2]]
        await asyncio.gather(*(call for several in calls for call in several))
        found = await asyncio.gather(*(cache.get(name) for name in names))
        assert found == [None, b"1"] * 50


async def test_many_calls_at_once_share_round_trips(redis: RedisServer) -> None:
    backend = RedisCache(redis.url, "c")
    await backend.set("k", b"1", TTL)
    assert await asyncio.gather(*(backend.get("k") for _ in range(320))) == [b"1"] * 320
    assert backend._remote.round_trips <= 14  # noqa: SLF001 - 2 + 1 + 10, were each full
    await backend.stop()


async def test_a_load_from_before_its_scope_went_elsewhere_is_not_kept(redis: RedisServer) -> None:
    async with services(redis, redis) as (one, other):
        source = Source()
        task = await loading(one, source, "s\nk")
        assert await other.delete("s\n")
        source.loads[0].set_result(b"old")
        assert await task == b"old"
        assert counted(one, "cache_refused_total") == 1
        assert await other.fetch("s\nk", always(b"new"), TTL) == b"new"
        assert await one.get("s\nk") == b"new"


async def test_a_scope_that_redis_has_evicted_begins_anew(redis: RedisServer) -> None:
    async with services(redis) as (cache,):
        await cache.set("s\nk", b"old", TTL)
        assert await redis.command("DEL", f"{PREFIX}s:s\n") == b":1\r\n"
        assert await cache.get("s\nk") is None
        await cache.set("s\nk", b"new", TTL)
        assert await cache.get("s\nk") == b"new"


@pytest.mark.parametrize("by", ["delete", "set", "scope"])
async def test_without_redis_who_comes_after_a_write_joins_no_load_from_before_it(
    redis: RedisServer, by: str
) -> None:
    await redis.kill()
    async with services(redis) as (cache,):
        source, key = Source(), "s\nk"
        old = await loading(cache, source, key)
        same = spawn(cache.fetch(key, never, TTL), name="waits")
        await asyncio.sleep(0)
        match by:
            case "set":
                await cache.set(key, b"new", TTL)
            case _:
                await cache.delete(key if by == "delete" else "s\n")
        new = await loading(cache, source, key)
        source.loads[0].set_result(b"old")
        source.loads[1].set_result(b"new")
        assert [await task for task in (old, same, new)] == [b"old", b"old", b"new"]
