"""Memories out and in again: as they were, and none that was deleted."""

from __future__ import annotations

import io
from typing import Any
from uuid import uuid4

import orjson
import pytest

from tests.memory.api.served import Answer, Served, served
from tests.memory.api.test_memories import SECRET, bearer
from tests.peers.postgres import PostgresServer
from uaitools.auth.config import AuthConfig
from uaitools.memory.api.transfer import LONGEST, NDJSON
from uaitools.memory.store.transfer import PAGE


async def export(memory: Served, query: str = "user_id=ann", **headers: str) -> list[bytes]:
    answer = await memory.ask("GET", f"/memories/export?{query}", **headers)
    assert answer.status == 200, answer
    assert answer.headers["Content-Type"] == NDJSON
    lines: list[bytes] = answer.body.splitlines(keepends=True)
    return lines


async def take(memory: Served, body: bytes, query: str = "user_id=ann", **headers: str) -> Answer:
    sent = {"Content-Type": NDJSON, **{k.replace("_", "-"): v for k, v in headers.items()}}
    url = f"{memory.url}/memories/import?{query}"
    async with memory.session.post(url, data=io.BytesIO(body), headers=sent) as got:
        return Answer(got.status, orjson.loads(await got.read()), got.headers)


async def fill(memory: Served) -> list[dict[str, Any]]:
    """Memories with everything that one may have."""
    first = await memory.remember("I live in Berlin", tags=["a", "b"], type="place")
    second = await memory.remember(
        "I live in Munich",
        supersedes=first["id"],
        metadata={"n": 1.5, "big": 1 << 62, "deep": {"x": [None, True, "ä\u2028"]}},
        agent_id="agent",
        session_id="session",
        external_id="ext",
        expires_at="2999-01-01T00:00:00.123456Z",
        pinned=True,
    )
    third = await memory.remember("it's a \\ 'quoted' \"text\"\nof two lines")
    await memory.ask("PATCH", f"/memories/{third['id']}?user_id=ann", {"type": "event"})
    await memory.ask("GET", f"/memories/{second['id']}?user_id=ann")
    await memory.service.touches.flush()
    return [first, second, third]


async def test_what_goes_out_comes_in_as_it_was(memory: Served, postgres: PostgresServer) -> None:
    await fill(memory)
    lines = await export(memory)
    read = [orjson.loads(one)["accessed_at"] is not None for one in lines]
    assert (len(lines), read.count(True)) == (3, 1)
    async with served(postgres) as other:
        answer = await take(other, b"".join(lines))
        assert (answer.status, answer.body["imported"], answer.body["lines"]) == (200, 3, 3)
        assert await export(other) == lines
        await other.followed()
        found = await other.search("live", mode="hybrid")
        assert found[0]["content"] == "I live in Munich"
        again = await take(other, b"".join(lines))
        assert (again.body["imported"], again.body["present"]) == (0, 3)


async def test_what_an_older_export_does_not_have_is_not_missed(
    memory: Served, postgres: PostgresServer
) -> None:
    await memory.remember("I like tea")
    [line] = await export(memory)
    older = {k: v for k, v in orjson.loads(line).items() if k != "accessed_at"}
    async with served(postgres) as other:
        assert (await take(other, orjson.dumps(older))).body["imported"] == 1
        assert await export(other) == [line]


async def test_what_was_deleted_does_not_come_back(memory: Served) -> None:
    made = await fill(memory)
    lines = await export(memory)
    await memory.ask("DELETE", f"/memories/{made[2]['id']}?user_id=ann")
    answer = await take(memory, b"".join(lines))
    assert {k: answer.body[k] for k in ("imported", "present", "deleted")} == {
        "imported": 0,
        "present": 2,
        "deleted": 1,
    }
    await memory.ask("DELETE", "/users/ann")
    answer = await take(memory, b"".join(lines))
    assert (answer.body["imported"], answer.body["deleted"]) == (0, 3)
    assert await export(memory) == []


async def test_an_import_does_not_tell_whether_others_have_an_id_or_had_it(memory: Served) -> None:
    kept, gone = await memory.remember("I like tea"), await memory.remember("I like milk")
    line = orjson.loads((await export(memory))[0])
    await memory.ask("DELETE", f"/memories/{gone['id']}?user_id=ann")
    answers = []
    for number, name in enumerate((kept["id"], gone["id"], str(uuid4()))):
        body = {**line, "id": name, "user_id": "eve", "content": f"I like {number}"}
        answers.append((await take(memory, orjson.dumps(body), "user_id=eve")).body)
        own = await memory.ask("GET", f"/memories/{name}?user_id=eve")
        assert own.body["content"] == f"I like {number}"
    assert answers[0] == answers[1] == answers[2]
    assert answers[0]["imported"] == 1
    read = await memory.ask("GET", f"/memories/{kept['id']}?user_id=ann&touch=false")
    assert read.body["content"] == "I like tea"


async def test_lines_that_are_no_memories_are_told_and_the_others_taken(memory: Served) -> None:
    await memory.remember("I like tea")
    [line] = await export(memory)
    good = orjson.loads(line)
    bad: list[bytes] = [
        b"no json\n",
        b"[]\n",
        orjson.dumps({**good, "id": "x"}) + b"\n",
        orjson.dumps({**good, "user_id": "bob"}) + b"\n",
        orjson.dumps({**good, "content": "a\0b"}) + b"\n",
        orjson.dumps({**good, "more": 1}) + b"\n",
        b'{"content": "half of a line',
    ]
    other = {**good, "id": str(uuid4()), "content": "another", "external_id": None}
    twin = {**good, "id": str(uuid4())}
    lines = [*bad[:-1], b"\n", orjson.dumps(other), b"\n", orjson.dumps(twin), b"\n", bad[-1]]
    body = b"".join(lines)
    answer = await take(memory, body)
    said = answer.body
    assert (said["lines"], said["imported"], said["duplicates"], said["refused"]) == (9, 1, 1, 7)
    assert [one["line"] for one in said["problems"]] == [1, 2, 3, 4, 5, 6, 9]
    assert said["problems"][3]["message"] == "user_id: is another user's"


async def test_many_pages_go_through(memory: Served, postgres: PostgresServer) -> None:
    count = 2 * PAGE + 7
    bodies = [{"user_id": f"user-{n % 3}", "content": f"fact number {n}"} for n in range(count)]
    for at in range(0, count, 500):
        some = {"memories": bodies[at : at + 500]}
        assert (await memory.ask("POST", "/memories/batch", some)).status == 200
    lines = await export(memory, "")
    assert len(lines) == count
    async with served(postgres) as other:
        answer = await take(other, b"".join(lines), "")
        assert (answer.body["imported"], answer.body["refused"]) == (count, 0)
        assert await export(other, "") == lines


async def test_what_is_no_import_is_refused(memory: Served) -> None:
    await memory.remember("I like tea")
    good = orjson.loads((await export(memory))[0])
    del good["user_id"]
    wrong = await take(memory, b"{}", Content_Type="application/json")
    assert wrong.status == 415
    long = await take(memory, b"x" * (LONGEST + 70_000))
    assert (long.status, "a line has at most" in long.body["message"]) == (413, True)
    nobodys = orjson.dumps(good) + b"\n"
    assert (await take(memory, nobodys, "")).body["problems"][0]["message"] == "user_id: is missing"
    assert (await take(memory, b"")).body["lines"] == 0


@pytest.mark.parametrize("who", ["ann", "service"])
async def test_a_user_moves_his_own_and_a_service_everyones(
    postgres: PostgresServer, who: str
) -> None:
    auth = AuthConfig.model_validate({"jwt": {"secret": SECRET}})
    async with served(postgres, auth=auth) as memory:
        service = bearer("svc", "memory:any")
        for user in ("ann", "bob"):
            body = {"user_id": user, "content": "mine"}
            await memory.ask("POST", "/memories", body, Authorization=service)
        if who == "ann":
            lines = await export(memory, "", Authorization=bearer("ann"))
            assert [orjson.loads(one)["user_id"] for one in lines] == ["ann"]
            path = "/memories/export?user_id=bob"
            assert (await memory.ask("GET", path, Authorization=bearer("ann"))).status == 403
            foreign = await take(memory, b"", "user_id=bob", Authorization=bearer("ann"))
            assert foreign.status == 403
        else:
            lines = await export(memory, "", Authorization=service)
            assert {orjson.loads(one)["user_id"] for one in lines} == {"ann", "bob"}
