"""Who changes a memory and cannot tell Redis: others learn of it from the database."""

from __future__ import annotations

from typing import Any

import pytest

from tests.memory.api.served import Served
from tests.memory.copies.sharing import counted, get, sharing, unaware
from tests.peers.gateways import eventually, settled
from tests.peers.postgres import PostgresServer
from tests.peers.redis import RedisServer
from tests.peers.relay import Relay, relay
from uaitools.memory.paying import MOST
from uaitools.memory.store.scope import Scopes


async def patched(memory: Served, made: dict[str, Any], number: int = 1) -> None:
    path = f"/memories/{made['id']}?user_id={made['user_id']}"
    assert (await memory.ask("PATCH", path, {"metadata": {"n": number}})).status == 200


async def becomes_new(memory: Served, made: dict[str, Any]) -> None:
    """Until it is answered as it was patched: long before a copy's time is over."""

    async def new() -> bool:
        return bool((await get(memory, made["id"], made["user_id"])).body["version"] == 2)

    await settled(new)


async def owed(memory: Served) -> int:
    async with Scopes(memory.service.pool).everyone() as connection:
        count: int = await connection.fetchval("SELECT count(*) FROM debts")
    return count


async def are_paid(memory: Served) -> None:
    async def paid() -> bool:
        return not await owed(memory)

    await settled(paid)


def cut(way: Relay) -> None:
    way.closed = True
    way.cut()


@pytest.mark.parametrize("user", ["ann", "Ann Lee"])
@pytest.mark.parametrize("hears", [True, False])
async def test_what_one_changes_that_is_cut_off_others_read(
    postgres: PostgresServer, redis: RedisServer, hears: bool, user: str
) -> None:
    async with relay(redis.port) as way, sharing(postgres, way, redis) as (one, other):
        made = await one.remember("I like tea", user)
        assert (await get(other, made["id"], user)).body == made
        if hears:
            await eventually(lambda: other.service.notices.hears)
            await other.service.paying.stop()
        else:
            await other.service.notices.stop()
        cut(way)
        await patched(one, made)
        await becomes_new(other, made)


async def test_what_one_without_redis_changes_others_read(
    postgres: PostgresServer, redis: RedisServer
) -> None:
    async with sharing(postgres, None, redis) as (one, other):
        made = await one.remember("I like tea")
        assert (await get(other, made["id"])).body == made
        await patched(one, made)
        await becomes_new(other, made)


async def test_what_others_have_changed_while_redis_was_away_is_not_read_as_it_was(
    postgres: PostgresServer, redis: RedisServer
) -> None:
    async with sharing(postgres, redis, redis, timeout=0.25) as (one, other):
        made = await one.remember("I like tea")
        assert (await get(other, made["id"])).body == made
        redis.freeze()
        await patched(one, made)
        await eventually(lambda: other.service.cache.failing)  # it has heard, and cannot tell
        assert await owed(other) > 0
        for memory in (one, other):
            await memory.service.paying.stop()
        redis.thaw()
        assert (await get(other, made["id"])).body["version"] == 2
        await eventually(lambda: not other.service.cache.failing)
        assert (await get(other, made["id"])).body["version"] == 2


async def test_debts_are_paid_once_and_for_all(
    postgres: PostgresServer, redis: RedisServer
) -> None:
    async with sharing(postgres, redis) as (memory,):
        made = await memory.remember("I like tea")
        await patched(memory, made)
        await are_paid(memory)
        await redis.kill()
        await patched(memory, made, 2)
        assert memory.service.cache.failing
        await memory.service.paying.pay()
        assert await owed(memory) > 0
        await redis.start()
        await are_paid(memory)


async def test_more_debts_than_are_remembered_make_everything_forgotten(
    postgres: PostgresServer, redis: RedisServer
) -> None:
    async with sharing(postgres, redis) as (memory,):
        made = await memory.remember("I like tea")
        await get(memory, made["id"])
        await unaware(memory)
        async with Scopes(memory.service.pool).everyone() as connection:
            await connection.execute(
                "INSERT INTO debts (user_id, memory_id)"
                " SELECT 'bob', gen_random_uuid() FROM generate_series(1, $1)",
                2 * MOST,
            )
        await get(memory, made["id"])
        before = counted(memory, "cache_misses_total")
        await memory.service.paying.pay()
        assert await owed(memory) == 0
        await get(memory, made["id"])
        assert counted(memory, "cache_misses_total") == before + 1
