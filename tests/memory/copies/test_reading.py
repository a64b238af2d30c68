"""A memory is read from a copy, and nobody can tell but by the time it takes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import orjson
import pytest

from tests.memory.api.served import Served, Visitor
from tests.memory.copies.sharing import counted, get, sharing, unaware
from tests.peers.gateways import eventually, settled
from tests.peers.memory_program import memory_program
from tests.peers.postgres import PostgresServer
from tests.peers.redis import RedisServer
from uaitools.memory import service
from uaitools.tasks import spawn

Change = Callable[[Served, dict[str, Any]], Awaitable[None]]


async def patched(memory: Served, made: dict[str, Any]) -> None:
    path = f"/memories/{made['id']}?user_id=ann"
    assert (await memory.ask("PATCH", path, {"metadata": {"n": 1}})).status == 200


async def superseded(memory: Served, made: dict[str, Any]) -> None:
    await memory.remember("I do not", supersedes=made["id"])


async def named(memory: Served, made: dict[str, Any]) -> None:
    body = {"user_id": "ann", "content": made["content"], "external_id": "e"}
    answer = await memory.ask("POST", "/memories", body)
    assert (answer.status, answer.body["external_id"]) == (200, "e")


async def deleted(memory: Served, made: dict[str, Any]) -> None:
    assert (await memory.ask("DELETE", f"/memories/{made['id']}?user_id=ann")).status == 204


async def user_deleted(memory: Served, _made: dict[str, Any]) -> None:
    assert (await memory.ask("DELETE", "/users/ann")).status == 200


CHANGES = (patched, superseded, named, deleted, user_deleted)


async def shown(memory: Served, made: dict[str, Any]) -> dict[str, Any] | None:
    """A memory as a page has it, which is made of no copies."""
    answer = await memory.ask("GET", "/memories?user_id=ann&superseded=true")
    page: list[dict[str, Any]] = answer.body["memories"]
    return next((one for one in page if one["id"] == made["id"]), None)


async def test_a_copy_is_answered_as_the_row_is(memory: Served) -> None:
    made = await memory.remember("I like tea", tags=["a"], metadata={"n": [1.5, None]})
    row, copy = [await get(memory, made["id"]) for _ in range(2)]
    assert (counted(memory, "cache_misses_total"), counted(memory, "cache_hits_total")) == (1, 1)
    assert (row.status, row.body) == (200, made)
    assert (copy.status, copy.body) == (200, made)
    assert (row.headers["ETag"], copy.headers["ETag"]) == ('"1"', '"1"')
    await memory.ask("GET", f"/memories/{made['id']}?user_id=ann")
    await memory.service.touches.flush()
    assert (await shown(memory, made) or {})["access_count"] == 1


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("shared", [False, True])
async def test_what_was_changed_is_read_so_by_the_same_process(
    postgres: PostgresServer, redis: RedisServer, change: Change, shared: bool
) -> None:
    async with sharing(postgres, redis if shared else None) as (memory,):
        made = await memory.remember("I like tea")
        assert (await get(memory, made["id"])).body == made
        await change(memory, made)
        after = await get(memory, made["id"])
        assert (after.body if after.status == 200 else None) == await shown(memory, made)
        assert after.body != made


@pytest.mark.parametrize("change", CHANGES)
async def test_what_was_changed_by_one_process_is_read_so_by_the_others(
    postgres: PostgresServer, redis: RedisServer, change: Change
) -> None:
    async with sharing(postgres, redis, redis) as (one, other):
        made = await one.remember("I like tea")
        for memory in (one, other):
            assert (await get(memory, made["id"])).body == made
        assert counted(other, "cache_hits_total") == 1
        await change(one, made)
        after = await get(other, made["id"])
        assert (after.body if after.status == 200 else None) == await shown(one, made)
        assert after.body != made


async def test_without_redis_a_process_hears_what_others_change(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "LOCAL", 600.0)
    async with sharing(postgres, None, None) as (one, other):
        made = await one.remember("I like tea")
        await eventually(lambda: other.service.notices.hears)
        assert (await get(other, made["id"])).body == made
        await patched(one, made)

        async def heard() -> bool:
            return bool((await get(other, made["id"])).body["version"] == 2)

        await settled(heard)


async def test_without_redis_one_that_does_not_hear_believes_a_copy_for_a_moment(
    postgres: PostgresServer,
) -> None:
    async with sharing(postgres, None, None) as (one, other):
        made = await one.remember("I like tea")
        await unaware(other)
        await get(other, made["id"])
        await deleted(one, made)

        async def gone() -> bool:
            return (await get(other, made["id"])).status == 404

        await settled(gone)


async def test_a_foreign_id_is_answered_as_an_absent_one_whether_or_not_there_is_a_copy(
    memory: Served,
) -> None:
    made = await memory.remember("I like tea")
    await get(memory, made["id"])
    answers = [
        await get(memory, made["id"], "bob"),
        await get(memory, str(uuid4()), "bob"),
        await get(memory, made["id"], "bob"),
    ]
    for answer in answers:
        answer.body.pop("request_id")
    assert [one.status for one in answers] == [404] * 3
    assert answers[0].body == answers[1].body == answers[2].body
    assert counted(memory, "cache_hits_total") == 0


async def test_what_was_absent_is_found_as_soon_as_it_is_there(memory: Served) -> None:
    made = await memory.remember("I like tea")
    line = {**made, "id": str(uuid4()), "content": "I like coffee"}
    assert (await get(memory, line["id"])).status == 404
    async with memory.session.post(
        f"{memory.url}/memories/import",
        data=orjson.dumps(line),
        headers={"Content-Type": "application/x-ndjson"},
    ) as answer:
        assert (await answer.json())["imported"] == 1
    assert (await get(memory, line["id"])).body == line


async def test_what_has_expired_is_gone_though_there_is_a_copy(
    postgres: PostgresServer, redis: RedisServer
) -> None:
    async with sharing(postgres, redis) as (memory,):
        for seconds in (0.5, 2, 8):  # however slow it is today
            soon = datetime.now(UTC) + timedelta(seconds=seconds)
            made = await memory.remember(f"I like tea {seconds}", expires_at=soon.isoformat())
            if (await get(memory, made["id"])).status == 200:
                break
        else:
            pytest.fail("it was never there")

        async def gone() -> bool:
            return await shown(memory, made) is None

        await settled(gone)
        assert (await get(memory, made["id"])).status == 404


async def test_a_copied_database_has_copies_of_its_own(
    postgres: PostgresServer, redis: RedisServer
) -> None:
    async with sharing(postgres, redis) as (one,), sharing(postgres, redis) as (other,):
        made = await one.remember("I like tea")
        lines = (await one.ask("GET", "/memories/export")).body
        async with other.session.post(
            f"{other.url}/memories/import",
            data=lines,
            headers={"Content-Type": "application/x-ndjson"},
        ) as answer:
            assert answer.status == 200
        await patched(one, made)
        assert (await get(one, made["id"])).body["version"] == 2
        assert (await get(other, made["id"])).body["version"] == 1


async def test_all_who_want_one_memory_wait_for_one_statement(memory: Served) -> None:
    made = await memory.remember("I like tea")
    async with memory.service.pool.acquire() as connection, connection.transaction():
        await connection.execute("LOCK TABLE memories")
        asked = [spawn(get(memory, made["id"]), name="asks") for _ in range(50)]
        await eventually(lambda: counted(memory, "cache_misses_total") == 50)
        assert counted(memory, "cache_loads") == 1
    assert [(await one).body for one in asked] == [made] * 50


async def test_a_program_finds_the_redis_that_all_components_have(
    tmp_path: Path, redis: RedisServer
) -> None:
    async with (
        memory_program(tmp_path / "data", REDIS_URL=redis.url) as program,
        aiohttp.ClientSession() as session,
    ):
        memory = Visitor(program.url, session)
        made = await memory.remember("I like tea")
        assert (await get(memory, made["id"])).status == 200
        assert await redis.command("DBSIZE") == b":3\r\n"  # an epoch, a scope's, and a copy
        assert (await memory.ask("GET", "/health")).body["dependencies"]["cache"] == "healthy"
        await redis.kill()
        assert (await get(memory, made["id"])).body == made
        health = await memory.ask("GET", "/health")
        assert (health.status, health.body["status"]) == (200, "degraded")
        assert health.body["dependencies"]["cache"] == "unhealthy"
        assert 'cache_up{cache="memory"} 0' in (await memory.ask("GET", "/metrics")).body.decode()
        await redis.start()
