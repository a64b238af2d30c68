"""MCP over HTTP, by the library's client in both eras of the protocol, and by hand."""

from __future__ import annotations

import asyncio
import sys
from uuid import uuid4

import aiohttp
import pytest

from tests.memory.api.served import Served, served
from tests.memory.api.test_memories import SECRET, bearer
from tests.memory.mcp.assistants import ERAS, HELLO, Era, assistant, call, message, post
from tests.peers.gateways import settled
from tests.peers.postgres import PostgresServer
from uaitools.auth.config import AuthConfig
from uaitools.memory.store.scope import Scopes
from uaitools.tasks import spawn

AUTH = AuthConfig.model_validate({"jwt": {"secret": SECRET}})


# -- whose ------------------------------------------------------------------------------------


async def test_a_users_token_reaches_that_users_memories_only(postgres: PostgresServer) -> None:
    async with served(postgres, auth=AUTH) as memory:
        made = {}
        for user in ("ann", "bob"):
            async with assistant(memory, "legacy", "", Authorization=bearer(user)) as client:
                result = await client.call_tool("add_memory", {"content": f"{user} likes tea"})
                made[user] = result.structured_content["memory"]["id"]
        async with assistant(memory, "2026-07-28", "", Authorization=bearer("ann")) as client:
            found = await client.call_tool("search_memories", {"query": "tea"})
            assert [one["id"] for one in found.structured_content["memories"]] == [made["ann"]]
            foreign = await client.call_tool("forget", {"id": made["bob"]})
            absent = await client.call_tool("forget", {"id": str(uuid4())})
            assert foreign == absent
            assert foreign.is_error
            smuggled = await client.call_tool("search_memories", {"query": "a", "user_id": "bob"})
            assert smuggled.is_error
        service = bearer("svc", "memory:any")
        async with assistant(memory, "2026-07-28", "?user_id=bob", Authorization=service) as client:
            found = await client.call_tool("search_memories", {"query": "tea"})
            assert [one["id"] for one in found.structured_content["memories"]] == [made["bob"]]


@pytest.mark.parametrize(
    ("headers", "query", "status"),
    [
        ({}, "", 401),
        ({"Authorization": "Bearer x"}, "", 401),
        ({"Authorization": bearer("bob")}, "?user_id=ann", 403),
        ({"Authorization": bearer("svc", "memory:any")}, "", 422),
        ({"Authorization": bearer("svc", "memory:any")}, "?user_id=%20", 422),
        ({"Authorization": bearer("bob")}, "?user=bob", 422),
    ],
)
async def test_who_is_refused_is_refused_as_by_rest(
    postgres: PostgresServer, headers: dict[str, str], query: str, status: int
) -> None:
    async with served(postgres, auth=AUTH) as memory:
        answer = await post(memory, HELLO, query, headers)
        rest = await memory.ask("GET", f"/memories{query}", **headers)
        for one in (answer, rest):
            one.body.pop("request_id")
        assert (answer.status, rest.status) == (status, status)
        assert answer.body == rest.body
        challenges = [one.headers.get("WWW-Authenticate") for one in (answer, rest)]
        assert challenges[0] == challenges[1]


async def test_the_session_of_another_is_worth_nothing(postgres: PostgresServer) -> None:
    async with served(postgres, auth=AUTH) as memory:
        ann, bob = ({"Authorization": bearer(user)} for user in ("ann", "bob"))
        opened = await post(memory, HELLO, "", ann)
        assert opened.status == 200
        assert "Mcp-Session-Id" not in opened.headers
        await post(memory, call("add_memory", content="ann likes tea"), "", ann)
        for session in (uuid4().hex, "ann"):
            headers = {**bob, "Mcp-Session-Id": session}
            found = await post(memory, call("search_memories", query="tea"), "", headers)
            assert found.body["result"]["structuredContent"]["memories"] == []


# -- what may come ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"", {}, 400),
        (b"{", {}, 400),
        (b"[]", {}, 400),
        (b"null", {}, 400),
        (b'{"jsonrpc": "2.0"}', {}, 400),
        (b"[" * 100_000, {}, 400),
        (b"[" * 100_000, {"MCP-Protocol-Version": "2026-07-28"}, 400),
        (b'{"a": ' + b"9" * 10_000 + b"}", {"MCP-Protocol-Version": "2026-07-28"}, 400),
        (b'{"a": "\xff"}', {}, 400),
        (b"x" * (9 << 20), {}, 413),
        (call("search_memories", query="a"), {"MCP-Protocol-Version": "1999-01-01"}, 400),
        (call("search_memories", query="a"), {"MCP-Protocol-Version": "2026-07-28"}, 400),
        (HELLO, {"Content-Type": "text/plain"}, 415),
        (HELLO, {"Accept": "text/html"}, 406),
        (HELLO, {"Origin": "http://evil.example"}, 403),
        (HELLO, {"Origin": "null"}, 403),
    ],
)
async def test_what_is_no_good_request_is_refused(
    memory: Served, body: object, headers: dict[str, str], status: int
) -> None:
    answer = await post(memory, body, headers=headers)
    assert answer.status == status
    assert b"Traceback" not in answer.body if isinstance(answer.body, bytes) else answer.body
    assert (await post(memory, HELLO)).status == 200


async def test_arguments_that_are_no_json_are_none_here(memory: Served) -> None:
    # The library's parser of the newer era takes what PostgreSQL cannot keep.
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    asked = call("add_memory", content="tea", metadata={"a": "\ud800"})
    asked["params"]["_meta"] = meta
    headers = {
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "tools/call",
        "Mcp-Name": "add_memory",
    }
    text = str(asked).replace("'", '"').replace("\ud800", "\\ud800").encode()
    answer = await post(memory, text, headers=headers)
    assert (answer.status, b'"isError":true' in answer.body) == (200, True), answer.body
    assert b"not JSON" in answer.body


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "OPTIONS"])
async def test_there_are_no_streams_and_no_sessions_to_end(memory: Served, method: str) -> None:
    answer = await memory.ask(method, "/mcp?user_id=ann", Accept="text/event-stream")
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")


async def test_pages_that_are_known_may_ask(postgres: PostgresServer) -> None:
    page = "https://app.example"
    cors = {"origins": [page], "headers": ["content-type", "mcp-protocol-version"]}
    async with served(postgres, cors=cors) as memory:
        known = await post(memory, HELLO, headers={"Origin": page})
        assert (known.status, known.headers["Access-Control-Allow-Origin"]) == (200, page)
        assert (await post(memory, HELLO, headers={"Origin": "https://b.example"})).status == 403
        # A page whose name has been pointed at us is of our own origin, as browsers see it.
        ours = {"Origin": memory.url, "Host": memory.url.removeprefix("http://")}
        assert (await post(memory, HELLO, headers=ours)).status == 403


async def test_without_the_library_it_says_what_to_install(
    memory: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "uaitools.memory.mcp.endpoint", raising=False)
    monkeypatch.setitem(sys.modules, "mcp.server.streamable_http_manager", None)
    answer = await post(memory, HELLO)
    assert (answer.status, answer.body["service"]) == (501, "memory")
    assert "uaitools[mcp]" in answer.body["message"]


@pytest.mark.parametrize("version", ["2025-03-26", "2025-06-18", "2025-11-25"])
async def test_the_version_of_the_client_is_spoken(memory: Served, version: str) -> None:
    hello = {**HELLO, "params": {**HELLO["params"], "protocolVersion": version}}
    opened = await post(memory, hello)
    assert opened.body["result"]["protocolVersion"] == version
    listed = await post(memory, message("tools/list"), headers={"MCP-Protocol-Version": version})
    assert [tool["name"] for tool in listed.body["result"]["tools"]][-1] == "forget"


async def test_a_notification_is_taken_and_not_answered(memory: Served) -> None:
    for method in ("notifications/initialized", "notifications/cancelled"):
        answer = await post(memory, {"jsonrpc": "2.0", "method": method})
        assert (answer.status, answer.body) == (202, b"")


async def test_what_there_is_not_is_told(memory: Served) -> None:
    for method in ("resources/list", "prompts/list", "subscriptions/listen", "sampling/x"):
        answer = await post(memory, message(method))
        assert answer.body["error"]["code"] == -32601


# -- many, and the end ------------------------------------------------------------------------


async def test_calls_at_the_same_time_do_not_mix(memory: Served) -> None:
    async def live(user: str) -> list[str]:
        query = f"?user_id={user}"
        async with assistant(memory, "legacy", query) as one:
            made = await asyncio.gather(
                *(one.call_tool("add_memory", {"content": f"{user} {n}"}) for n in range(10))
            )
        found = await post(memory, call("search_memories", query=user, limit=100), query)
        contents = [m["content"] for m in found.body["result"]["structuredContent"]["memories"]]
        assert len(made) == 10
        return contents

    users = [f"user{number}" for number in range(6)]
    found = await asyncio.gather(*map(live, users))
    for user, contents in zip(users, found, strict=True):
        assert sorted(contents) == sorted(f"{user} {n}" for n in range(10))


async def held(postgres: PostgresServer, memory: Served) -> bool:
    """Whether somebody waits for a row of the service's database."""
    admin = await postgres.connect()
    try:
        async with memory.service.pool.acquire() as connection:
            database = await connection.fetchval("SELECT current_database()")
        waiting: bool = await admin.fetchval(
            "SELECT EXISTS (SELECT FROM pg_stat_activity"
            " WHERE datname = $1 AND wait_event_type = 'Lock')",
            database,
        )
        return waiting
    finally:
        await admin.close()


async def test_a_call_that_is_under_way_is_finished_when_the_service_drains(
    postgres: PostgresServer, memory: Served
) -> None:
    made = await memory.remember("tea")
    await memory.followed()
    async with Scopes(memory.service.pool).writing("ann") as row:
        await row.execute("SELECT FROM memories WHERE id = $1 FOR UPDATE", made["id"])
        asked = spawn(post(memory, call("forget", id=made["id"])), name="call")
        await settled(lambda: held(postgres, memory))
        draining = spawn(memory.server.drain(asyncio.get_running_loop().time() + 30), name="drain")
        await asyncio.sleep(0)
        assert not draining.done()
    answer = await asked
    assert answer.body["result"]["structuredContent"] == {"id": made["id"]}
    await draining


@pytest.mark.parametrize("era", ERAS)
async def test_a_call_whose_client_has_gone_is_given_up(
    postgres: PostgresServer, memory: Served, era: Era
) -> None:
    made = await memory.remember("tea")
    await memory.followed()
    async with Scopes(memory.service.pool).writing("ann") as row:
        await row.execute("SELECT FROM memories WHERE id = $1 FOR UPDATE", made["id"])
        async with aiohttp.ClientSession() as session:
            other = Served(memory.server, session)
            asked = spawn(_forget(other, era, made["id"]), name="call")
            await settled(lambda: held(postgres, memory))
            asked.cancel()
            await asyncio.wait({asked})

        async def given_up() -> bool:
            return not await held(postgres, memory)

        await settled(given_up)
    assert (await memory.ask("GET", f"/memories/{made['id']}?user_id=ann")).status == 200


async def _forget(memory: Served, era: Era, name: str) -> None:
    if era == "legacy":
        await post(memory, call("forget", id=name))
        return
    async with assistant(memory, era) as client:
        await client.call_tool("forget", {"id": name})


async def test_a_service_that_stops_ends_what_is_under_way(postgres: PostgresServer) -> None:
    async with served(postgres) as memory:
        made = await memory.remember("tea")
        await memory.followed()
        async with Scopes(memory.service.pool).writing("ann") as row:
            await row.execute("SELECT FROM memories WHERE id = $1 FOR UPDATE", made["id"])
            asked = spawn(post(memory, call("forget", id=made["id"])), name="call")
            await settled(lambda: held(postgres, memory))
            await memory.server._gateway.stop()  # noqa: SLF001 - the rest stops with the block
            with pytest.raises(aiohttp.ClientError):
                await asked
