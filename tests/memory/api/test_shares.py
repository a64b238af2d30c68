"""One user, whatever they send, leaves the others their part."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.memory.api.served import Answer, Served, served
from tests.peers.gateways import eventually
from tests.peers.postgres import PostgresServer
from uaitools.memory.store.scope import Scopes
from uaitools.tasks import spawn

FEW = {"size": 5, "wait": 2}  # connections, of which a user has one


@asynccontextmanager
async def stuck(memory: Served, user: str, *memories: str) -> AsyncIterator[None]:
    """Nobody can change these memories of a user, nor say anything in the user's session s."""
    async with Scopes(memory.service.pool).writing(user) as connection:
        await connection.execute(
            "SELECT FROM memories WHERE user_id = $1 AND id = ANY($2::uuid[]) FOR UPDATE",
            user,
            memories,
        )
        await connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended($1 || ' s', 18))", user
        )
        yield


async def say(memory: Served, user: str) -> Answer:
    said = {"user_id": user, "messages": [{"role": "user", "content": "hello"}]}
    return await memory.ask("POST", "/sessions/s/messages", said)


async def test_requests_of_one_user_that_wait_keep_no_other_user_waiting(
    postgres: PostgresServer,
) -> None:
    async with served(postgres, pool=FEW) as memory:
        made = await memory.remember("I like tea", user="eve")
        async with stuck(memory, "eve", made["id"]):
            theirs = [spawn(say(memory, "eve"), name="eve") for _ in range(60)]
            await eventually(lambda: "asked=60>" in repr(memory.service.shares["connections"]))
            await memory.remember("I like milk", user="bob")
            assert (await say(memory, "bob")).status == 201
            assert [one["content"] for one in await memory.search("milk", "bob")]
            assert not any(one.done() for one in theirs)
        statuses = Counter(answer.status for answer in await asyncio.gather(*theirs))
    assert statuses == {201: 60}


async def test_who_asks_for_more_than_can_wait_is_told_so(postgres: PostgresServer) -> None:
    async with served(postgres, pool={"size": 5, "wait": 0.2}) as memory:
        await say(memory, "eve")
        async with stuck(memory, "eve"):
            first = spawn(say(memory, "eve"), name="eve")
            await eventually(lambda: "asked=1>" in repr(memory.service.shares["connections"]))
            refused = await say(memory, "eve")
        assert (await first).status == 201
        text = (await memory.ask("GET", "/metrics")).body.decode()
    assert (refused.status, refused.headers["Retry-After"]) == (429, "1")
    assert 'memory_busy_total{of="connections"} 1' in text


async def test_what_takes_too_long_is_a_504_and_leaves_nothing_half_done(
    postgres: PostgresServer,
) -> None:
    async with served(postgres, pool={"limit": 0.2}) as memory:
        made = await memory.remember("I like tea", user="eve")
        path = f"/memories/{made['id']}?user_id=eve"
        async with stuck(memory, "eve", made["id"]):
            for late in (await say(memory, "eve"), await memory.ask("PATCH", path, {"type": "x"})):
                assert (late.status, late.body["service"]) == (504, "memory")
                assert late.headers["Retry-After"] == "1"
        assert (await memory.ask("GET", f"{path}&touch=false")).body == made
        assert (await memory.ask("GET", "/sessions/s?user_id=eve")).status == 404


async def test_a_batch_without_a_database_fails_as_one(
    postgres: PostgresServer, memory: Served
) -> None:
    several = [{"user_id": "ann", "content": f"fact {number}"} for number in range(1000)]
    admin: Any = await postgres.connect()
    async with memory.service.pool.acquire() as connection:
        name = await connection.fetchval("SELECT current_database()")
    try:
        await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        await admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1", name
        )
        answer = await memory.ask("POST", "/memories/batch", {"memories": several})
    finally:
        await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        await admin.close()
    assert answer.status == 503
    assert int(answer.headers["Retry-After"]) == 1
    again = await memory.ask("POST", "/memories/batch", {"memories": several})
    assert (again.status, again.body["created"]) == (200, 1000)


@pytest.mark.parametrize("mode", ["search", "context"])
async def test_searches_and_contexts_of_one_user_have_their_turns(
    postgres: PostgresServer, mode: str
) -> None:
    async with served(postgres, pool=FEW) as memory:
        await say(memory, "eve")
        share = memory.service.shares["searches" if mode == "search" else "contexts"]

        async def ask() -> int:
            if mode == "search":
                asked = {"user_id": "eve", "query": "hello"}
                return (await memory.ask("POST", "/memories/search", asked)).status
            return (await memory.ask("GET", "/sessions/s/context?user_id=eve")).status

        async with share.of("eve"):
            waiting = [spawn(ask(), name="eve") for _ in range(20)]
            bob = {"user_id": "bob", "query": "hello"}
            assert (await memory.ask("POST", "/memories/search", bob)).status == 200
            assert not any(one.done() for one in waiting)
        assert set(await asyncio.gather(*waiting)) == {200}
