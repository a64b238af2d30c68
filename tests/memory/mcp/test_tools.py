"""The tools, as assistants of both eras of the protocol use them."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from mcp.shared.exceptions import MCPError

from tests.memory.api.served import Served, served
from tests.memory.mcp.assistants import ERAS, Era, assistant, call, post, text_of
from tests.peers.postgres import PostgresServer


@pytest.mark.parametrize("era", ERAS)
async def test_tools_say_what_they_take_and_do(memory: Served, era: Era) -> None:
    async with assistant(memory, era) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert list(tools) == [
            "add_memory",
            "search_memories",
            "get_context",
            "list_sessions",
            "forget",
        ]
        hints = {
            name: (
                tool.annotations.read_only_hint,
                tool.annotations.destructive_hint,
                tool.annotations.idempotent_hint,
                tool.annotations.open_world_hint,
            )
            for name, tool in tools.items()
            if tool.annotations is not None
        }
        assert hints == {
            "add_memory": (False, False, True, False),
            "search_memories": (True, None, None, False),
            "get_context": (True, None, None, False),
            "list_sessions": (True, None, None, False),
            "forget": (False, True, True, False),
        }
        for tool in tools.values():
            assert tool.output_schema is not None
            assert tool.input_schema["additionalProperties"] is False
            assert "user_id" not in tool.input_schema["properties"]
            for property_ in tool.input_schema["properties"].values():
                assert property_["description"]
        content = tools["add_memory"].input_schema["properties"]["content"]
        assert (content["minLength"], content["maxLength"]) == (1, 65_536)
        assert tools["search_memories"].input_schema["properties"]["limit"]["maximum"] == 100


@pytest.mark.parametrize("era", ERAS)
async def test_a_fact_is_added_found_and_forgotten(memory: Served, era: Era) -> None:
    async with assistant(memory, era) as client:
        fact = {"content": "I moved to Munich", "tags": ["home"], "metadata": {"by": "train"}}
        made = await client.call_tool("add_memory", fact)
        assert made.structured_content["created"] is True
        memory_id = made.structured_content["memory"]["id"]
        assert text_of(made) == f"Remembered, with id {memory_id}."
        again = await client.call_tool("add_memory", {"content": "i moved to  MUNICH"})
        assert again.structured_content["created"] is False
        assert memory_id in text_of(again)

        found = await client.call_tool("search_memories", {"query": "Munich", "tags": ["home"]})
        [hit] = found.structured_content["memories"]
        assert {name: hit[name] for name in fact} == fact
        assert 0 < hit["score"] <= 1
        assert "I moved to Munich" in text_of(found)
        assert memory_id in text_of(found)
        missed = await client.call_tool("search_memories", {"query": "Munich", "tags": ["work"]})
        assert missed.structured_content == {"memories": [], "degraded": [], "more": 0}
        assert text_of(missed) == "Nothing is remembered that fits."

        gone = await client.call_tool("forget", {"id": memory_id})
        assert gone.structured_content == {"id": memory_id}
        found = await client.call_tool("search_memories", {"query": "Munich"})
        assert found.structured_content["memories"] == []
    assert (await memory.ask("GET", f"/memories/{memory_id}?user_id=ann")).status == 404


async def test_a_newer_fact_takes_the_place_of_the_older(memory: Served) -> None:
    old = await memory.remember("I live in Berlin")
    async with assistant(memory, "legacy") as client:
        new = {"content": "I live in Munich", "supersedes": old["id"]}
        await client.call_tool("add_memory", new)
        found = await client.call_tool("search_memories", {"query": "live"})
        contents = [one["content"] for one in found.structured_content["memories"]]
        assert contents == ["I live in Munich"]


@pytest.mark.parametrize("era", ERAS)
async def test_a_conversation_is_read_within_a_budget(memory: Served, era: Era) -> None:
    fact = await memory.remember("I moved to Munich")
    said = [{"role": "user", "content": f"Sentence {n} about Munich."} for n in range(100)]
    path = "/sessions/s-1/messages"
    assert (await memory.ask("POST", path, {"user_id": "ann", "messages": said})).status == 201
    async with assistant(memory, era) as client:
        asked = {"session_id": "s-1", "budget": 300, "query": "Munich"}
        result = await client.call_tool("get_context", asked)
        excerpt = result.structured_content
        assert excerpt["context"] == text_of(result)
        assert 0 < excerpt["tokens"] <= 300
        assert 0 < excerpt["left_out"] < 100
        assert "Sentence 99 about Munich." in text_of(result)
        assert "[memory 1] I moved to Munich" in text_of(result)
        assert excerpt["memories"] == {"1": fact["id"]}
        little = await client.call_tool("get_context", {"session_id": "s-1", "budget": 1})
        assert text_of(little) == "Nothing of it fits so few tokens."
    async with assistant(memory, era, "?user_id=bob") as client:
        foreign = await client.call_tool("get_context", asked)
        assert foreign.is_error


@pytest.mark.parametrize("era", ERAS)
async def test_earlier_conversations_are_listed(memory: Served, era: Era) -> None:
    for user, name in (("ann", "s-1"), ("ann", "s-2"), ("bob", "s-3")):
        body = {"user_id": user, "messages": [{"role": "user", "content": "hello"}]}
        answer = await memory.ask("POST", f"/sessions/{name}/messages", body)
        assert answer.status == 201
    async with assistant(memory, era) as client:
        first = await client.call_tool("list_sessions", {"limit": 1})
        [one] = first.structured_content["sessions"]
        assert (one["id"], one["messages"]) == ("s-2", 1)
        assert "- s-2 (messages: 1, " in text_of(first)
        cursor = first.structured_content["next"]
        assert cursor in text_of(first)
        second = await client.call_tool("list_sessions", {"cursor": cursor})
        assert [one["id"] for one in second.structured_content["sessions"]] == ["s-1"]
        assert second.structured_content["next"] is None
    async with assistant(memory, era, "?user_id=eve") as client:
        nothing = await client.call_tool("list_sessions", {})
        assert text_of(nothing) == "There are no earlier conversations."


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    ("tool", "arguments", "reason"),
    [
        ("add_memory", {}, "content: Field required"),
        ("add_memory", {"content": " "}, "content: has to say something"),
        ("add_memory", {"content": "x" * 65_537}, "content: String should have at most 65536"),
        ("add_memory", {"content": "a\0b"}, "content: "),
        ("add_memory", {"content": "a", "user_id": "bob"}, "user_id: Extra inputs"),
        ("add_memory", {"content": "a", "metadata": {"n": 1 << 70}}, "metadata: has a whole"),
        ("add_memory", {"content": "a", "metadata": {"n": "x" * 17_000}}, "metadata: has at most"),
        ("add_memory", {"content": "a", "expires_at": "2001-01-01T00:00:00Z"}, "expires_at: is"),
        ("add_memory", {"content": "a", "supersedes": str(uuid4())}, "There is no memory with"),
        ("search_memories", {"query": ""}, "query: String should have at least 1"),
        ("search_memories", {"query": "a", "limit": 101}, "limit: Input should be less"),
        ("search_memories", {"query": "a", "mode": "magic"}, "mode: Input should be 'hybrid'"),
        ("search_memories", {"query": "a", "created_after": "monday"}, "created_after: "),
        ("get_context", {}, "session_id: Field required"),
        ("get_context", {"session_id": "a/b"}, "session_id: String should match"),
        ("get_context", {"session_id": "s", "budget": 200_001}, "budget: Input should be less"),
        ("get_context", {"session_id": "s"}, "There is no session with that id"),
        ("forget", {"id": "x"}, "id: Input should be a valid UUID"),
        ("forget", {"id": str(uuid4())}, "There is no memory with that id; search_memories"),
    ],
)
async def test_a_model_reads_why_a_call_failed(
    memory: Served, era: Era, tool: str, arguments: dict[str, Any], reason: str
) -> None:
    async with assistant(memory, era) as client:
        result = await client.call_tool(tool, arguments)
        assert result.is_error
        assert reason in text_of(result)
        assert "Traceback" not in text_of(result)
        assert len(text_of(result)) < 300
    assert (await memory.ask("GET", "/memories?user_id=ann")).body["memories"] == []


async def test_a_tool_that_is_none_is_an_error_of_the_protocol(memory: Served) -> None:
    async with assistant(memory, "legacy") as client:
        with pytest.raises(MCPError, match="there are add_memory, search_memories, get_context"):
            await client.call_tool("drop_tables", {})


async def test_a_busy_database_is_told_as_such(postgres: PostgresServer) -> None:
    async with served(postgres, pool={"size": 2, "idle": 2, "wait": 0.1}) as memory:
        pool = memory.service.pool
        async with pool.acquire(), pool.acquire():
            answer = await post(memory, call("search_memories", query="tea"))
        result = answer.body["result"]
        assert (answer.status, result["isError"]) == (200, True)
        assert "try again" in result["content"][0]["text"]
