"""A Redis that is frozen, killed, emptied, restarted and cut off."""

from __future__ import annotations

import asyncio
from typing import Final

import pytest
from structlog.testing import capture_logs

from tests.cache.sources import TTL, Source, always, back, counted, loading, services
from tests.peers.gateways import eventually, settled
from tests.peers.redis import RedisServer
from tests.peers.relay import relay
from uaitools.cache.redis import RedisCache
from uaitools.cache.remote import OWED
from uaitools.cache.script import prefix_of
from uaitools.cache.service import CacheService
from uaitools.tasks import spawn

PREFIX: Final = prefix_of("c")


async def test_without_redis_everything_is_a_miss_and_nothing_an_error(redis: RedisServer) -> None:
    await redis.kill()
    async with services(redis) as (cache,):
        with capture_logs() as logs:
            assert await cache.get("k") is None
            await cache.set("k", b"1", TTL)
            assert not await cache.exists("k")
            assert await cache.fetch("k", always(b"2"), TTL) == b"2"
            assert not await cache.delete("k")
        assert [line["event"] for line in logs] == ["redis is away"]
        assert cache.failing
        assert counted(cache, "cache_up") == 0


async def test_a_frozen_redis_is_asked_once_and_then_costs_nothing(redis: RedisServer) -> None:
    async with services(redis) as (cache,):
        await cache.set("k", b"1", TTL)
        redis.freeze()
        assert await asyncio.gather(*(cache.get("k") for _ in range(100))) == [None] * 100
        turns = 0
        while turns < 100:  # none of these waits for anything
            step = cache.get("k")
            with pytest.raises(StopIteration):
                step.send(None)
            turns += 1
        redis.thaw()
        await back(cache)
        assert await cache.get("k") == b"1"


async def test_a_delete_while_redis_is_frozen_is_done_when_it_is_back(redis: RedisServer) -> None:
    async with services(redis, redis) as (one, other):
        await one.set("k", b"old", TTL)
        await one.set("l", b"kept", TTL)
        redis.freeze()
        assert not await one.delete("k")
        assert await one.get("k") is None
        redis.thaw()
        await back(one)
        assert await other.get("k") is None
        assert await other.get("l") == b"kept"
        assert counted(one, "cache_owed") == 0


async def test_a_delete_is_done_before_anything_is_believed(redis: RedisServer) -> None:
    async with relay(redis.port) as way, services(way, redis) as (one, other):
        await one.set("k", b"old", TTL)
        way.closed = True
        way.cut()
        assert not await one.delete("k")
        assert await other.get("k") == b"old"  # it cannot know
        way.closed = False

        async def recovered() -> bool:
            assert await one.get("k") is None
            return not one.failing

        await settled(recovered)
        assert await one.get("k") is None
        assert await other.get("k") is None


async def test_a_delete_whose_answer_was_lost_is_done_again(redis: RedisServer) -> None:
    async with relay(redis.port) as way, services(way, redis) as (one, other):
        await one.set("k", b"old", TTL)
        way.mute = True
        assert not await one.delete("k")
        await other.fetch("k", always(b"new"), TTL)
        way.mute = False
        way.cut()
        await back(one)
        assert await other.get("k") is None


async def test_a_delete_that_was_cancelled_is_done(redis: RedisServer) -> None:
    async with services(redis, patience=5) as (cache,):
        await cache.set("k", b"old", TTL)
        redis.freeze()
        deleting = spawn(cache.delete("k"), name="deletes")
        await asyncio.sleep(0)
        deleting.cancel()
        await asyncio.wait((deleting,))
        redis.thaw()
        assert await cache.get("k") is None


async def test_with_too_many_deletes_everything_is_forgotten_by_all(redis: RedisServer) -> None:
    async with services(redis, redis) as (one, other):
        await one.set("k", b"old", TTL)
        await one.set("l", b"old", TTL)
        source = Source()
        task = await loading_other_key(other, source)
        redis.freeze()
        await one.delete("k", *map(str, range(OWED)))
        assert counted(one, "cache_owed") == 1
        redis.thaw()
        await back(one)
        assert [await other.get(key) for key in "kl"] == [None, None]
        source.loads[0].set_result(b"old")
        await task
        assert await one.get("m") is None
        await other.set("k", b"new", TTL)
        assert await one.get("k") == b"new"


async def loading_other_key(cache: CacheService, source: Source) -> asyncio.Task[bytes]:
    task = spawn(cache.fetch("m", source, TTL), name="fetches")
    await eventually(lambda: source.loads)
    return task


async def test_a_set_that_did_not_arrive_leaves_nothing_behind(redis: RedisServer) -> None:
    async with services(redis, redis) as (one, other):
        await one.set("k", b"old", TTL)
        redis.freeze()
        await one.set("k", b"new", TTL)
        redis.thaw()
        await back(one)
        assert await other.get("k") is None


async def test_a_set_that_was_never_sent_leaves_nothing_behind(redis: RedisServer) -> None:
    async with relay(redis.port) as way, services(way, redis) as (one, other):
        await one.set("k", b"old", TTL)
        way.closed = True
        way.cut()
        await one.set("k", b"new", TTL)
        way.closed = False
        await back(one)
        assert await one.get("k") is None
        assert await other.get("k") is None


async def test_what_is_carried_out_late_brings_nothing_back(redis: RedisServer) -> None:
    async with services(redis, redis) as (one, other):
        source = Source()
        task = await loading(one, source)
        redis.freeze()
        source.loads[0].set_result(b"old")
        assert await task == b"old"  # stored or not: nobody knows
        setting = spawn(one.set("k", b"old", TTL), name="sets")
        assert not await one.delete("k")
        await setting
        redis.thaw()
        await back(one)
        assert await other.get("k") is None
        assert await one.get("k") is None


async def test_a_load_under_way_while_redis_was_frozen_is_not_kept_after_a_delete(
    redis: RedisServer,
) -> None:
    async with services(redis) as (cache,):
        source = Source()
        task = await loading(cache, source)
        redis.freeze()
        await cache.delete("k")
        redis.thaw()
        await back(cache)
        source.loads[0].set_result(b"old")
        await task
        assert await cache.get("k") is None


async def test_a_redis_that_was_killed_is_used_again(redis: RedisServer) -> None:
    async with services(redis) as (cache,):
        source = Source()
        task = await loading(cache, source)
        await redis.kill()
        assert await cache.get("k") is None
        await redis.start()
        await back(cache)
        source.loads[0].set_result(b"old")
        await task
        assert await cache.get("k") is None
        assert await cache.fetch("k", always(b"new"), TTL) == b"new"
        assert await cache.get("k") == b"new"


async def test_a_redis_that_was_emptied_keeps_no_load_from_before(redis: RedisServer) -> None:
    async with services(redis) as (cache,):
        await cache.set("l", b"1", TTL)
        source = Source()
        task = await loading(cache, source)
        await redis.command("FLUSHALL")
        assert await cache.get("l") is None
        source.loads[0].set_result(b"old")
        await task
        assert await cache.get("k") is None
        await cache.set("k", b"new", TTL)
        assert await cache.get("k") == b"new"


async def test_a_snapshot_brings_nothing_back(redis: RedisServer) -> None:
    async with services(redis) as (cache,):
        await cache.set("k", b"old", TTL)
        source = Source()
        task = spawn(cache.fetch("l", source, TTL), name="fetches")
        await eventually(lambda: source.loads)
        assert await redis.command("SAVE") == b"+OK\r\n"
        assert await cache.delete("k", "l")
        await redis.kill()
        await redis.start()
        assert await redis.command("EXISTS", f"{PREFIX}k:k", f"{PREFIX}l:l") == b":2\r\n"
        await cache.get("k")  # finds the connection ended
        await back(cache)
        assert await cache.get("k") is None
        source.loads[0].set_result(b"old")
        await task
        assert await cache.get("l") is None


async def test_a_script_cache_that_is_flushed_is_no_failure(redis: RedisServer) -> None:
    async with services(redis) as (cache,):
        await cache.set("k", b"1", TTL)
        await redis.command("SCRIPT", "FLUSH")
        assert await cache.get("k") == b"1"
        assert counted(cache, "cache_errors_total") == 0


async def test_what_others_write_under_our_names_is_a_miss(redis: RedisServer) -> None:
    async with services(redis) as (cache,):
        await cache.set("k", b"1", TTL)
        for write in (("SET", f"{PREFIX}k:k", "v"), ("LPUSH", f"{PREFIX}k:k", "v")):
            await redis.command("DEL", f"{PREFIX}k:k")
            await redis.command(*write)
            assert await cache.get("k") is None
            assert not await cache.exists("k")
            assert await cache.fetch("k", always(b"2"), TTL) == b"2"
        assert not cache.failing
        assert await cache.delete("k")
        assert await cache.fetch("k", always(b"3"), TTL) == b"3"
        assert await cache.get("k") == b"3"
        await redis.command("DEL", f"{PREFIX}epoch")
        await redis.command("SET", f"{PREFIX}epoch", "theirs")
        assert await cache.fetch("k", always(b"4"), TTL) == b"4"
        await redis.command("DEL", f"{PREFIX}epoch")
        assert await cache.get("k") is None


async def test_a_full_redis_still_deletes(redis: RedisServer) -> None:
    async with services(redis) as (cache,):
        await cache.set("k", b"1", TTL)
        await redis.command("CONFIG", "SET", "maxmemory", "1")
        assert await cache.get("k") == b"1"
        await cache.set("l", b"1", TTL)
        assert await cache.fetch("l", always(b"2"), TTL) == b"2"
        assert await cache.delete("k")
        assert await cache.get("k") is None
        assert not cache.failing


async def test_a_redis_that_takes_no_writes_is_away(redis: RedisServer) -> None:
    async with services(redis) as (cache,):
        await cache.set("k", b"1", TTL)
        await redis.command("REPLICAOF", "127.0.0.1", "1")
        assert not await cache.delete("k")
        assert cache.failing
        await redis.command("REPLICAOF", "NO", "ONE")
        await back(cache)
        assert await cache.get("k") is None


async def test_who_stops_tells_redis_what_is_owed(redis: RedisServer) -> None:
    async with services(redis) as (other,):
        cache = CacheService(RedisCache(redis.url, "c", pause=60), "c")
        await cache.set("k", b"1", TTL)
        redis.freeze()
        assert not await cache.delete("k")
        redis.thaw()
        await cache.stop()
        assert await other.get("k") is None


async def test_who_stops_without_redis_says_what_it_was_not_told(redis: RedisServer) -> None:
    async with services(redis) as (cache,):
        await redis.kill()
        with capture_logs() as logs:
            await cache.delete("a", "b")
            await cache.stop()
        assert logs[-1]["event"] == "redis was not told of deletes"
        assert logs[-1]["deletes"] == 2
        assert await cache.get("k") is None


async def test_a_password_that_is_wrong_is_a_miss_and_not_in_the_log(redis: RedisServer) -> None:
    await redis.command("CONFIG", "SET", "requirepass", "right")
    backend = RedisCache(f"redis://:wrong@127.0.0.1:{redis.port}/0", "c", pause=0.05)
    with capture_logs() as logs:
        assert await backend.get("k") is None
    assert "wrong" not in repr(logs) + repr(backend)
    await backend.stop()
