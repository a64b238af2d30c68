"""Conversations over HTTP: what was said, in order and once, and what of it fits a prompt."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tests.memory.api.served import Answer, Served, served
from tests.memory.api.test_memories import SECRET, bearer
from tests.peers.postgres import PostgresServer
from uaitools.auth.config import AuthConfig
from uaitools.config import ConfigError
from uaitools.memory.context.config import ContextConfig
from uaitools.memory.context.tokens import Estimate
from uaitools.memory.contexts import tokeniser

TALK = [
    ("user", "I am looking for a flat in Munich."),
    ("assistant", "What is your budget?"),
    ("user", "At most 1500 euros, with a balcony."),
]


def turns(*several: tuple[str, str]) -> list[dict[str, Any]]:
    return [{"role": role, "content": content} for role, content in several]


async def say(
    memory: Served, session: str, *several: tuple[str, str], user: str = "ann", **headers: str
) -> Answer:
    body = {"user_id": user, "messages": turns(*several)}
    return await memory.ask("POST", f"/sessions/{session}/messages", body, **headers)


async def test_what_is_said_is_read_again_in_order(memory: Served) -> None:
    first = await say(memory, "s-1", *TALK[:2])
    second = await say(memory, "s-1", TALK[2])
    assert (first.status, second.status) == (201, 201)
    said = [*first.body["messages"], *second.body["messages"]]
    assert [one["number"] for one in said] == [1, 2, 3]
    assert [(one["role"], one["content"]) for one in said] == TALK
    page = (await memory.ask("GET", "/sessions/s-1/messages?user_id=ann&limit=2")).body
    assert page == {"messages": said[:0:-1], "next": 2}
    rest = (await memory.ask("GET", "/sessions/s-1/messages?user_id=ann&before=2")).body
    assert rest == {"messages": said[:1], "next": None}


async def test_a_message_keeps_when_it_was_said_and_what_is_known_of_it(memory: Served) -> None:
    said = {
        "role": "tool",
        "content": "18 degrees",
        "metadata": {"tool": "weather", "n": [1, 2.5, None]},
        "created_at": "2024-02-29T12:00:00+01:00",
    }
    body = {"user_id": "ann", "agent_id": "guide", "messages": [said]}
    [made] = (await memory.ask("POST", "/sessions/s/messages", body)).body["messages"]
    assert made["metadata"] == said["metadata"]
    assert made["created_at"] == "2024-02-29T11:00:00Z"
    session = (await memory.ask("GET", "/sessions/s?user_id=ann")).body
    assert (session["agent_id"], session["messages"]) == ("guide", 1)
    assert session["created_at"] > made["created_at"]


async def test_what_is_sent_again_is_said_once(memory: Served) -> None:
    first = await say(memory, "s", *TALK, Idempotency_Key="k-1")
    again = await say(memory, "s", *TALK, Idempotency_Key="k-1")
    assert (again.status, again.body) == (201, first.body)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (await memory.ask("GET", "/sessions/s?user_id=ann")).body["messages"] == 3
    # The key is of this session and this user.
    for other in (await say(memory, "s2", *TALK, Idempotency_Key="k-1"),
                  await say(memory, "s", *TALK, user="bob", Idempotency_Key="k-1")):  # fmt: skip
        assert (other.status, "Idempotency-Replayed" in other.headers) == (201, False)


@pytest.mark.parametrize("talk", [TALK[:2], [*TALK, TALK[0]], [TALK[0], TALK[2], TALK[1]]])
async def test_a_key_is_not_taken_for_something_else(
    memory: Served, talk: list[tuple[str, str]]
) -> None:
    await say(memory, "s", *TALK, Idempotency_Key="k-1")
    assert (await say(memory, "s", *talk, Idempotency_Key="k-1")).status == 409
    assert (await memory.ask("GET", "/sessions/s?user_id=ann")).body["messages"] == 3


async def test_many_who_speak_at_once_get_numbers_without_gaps(memory: Served) -> None:
    several = [("user", f"word {place}") for place in range(3)]
    made = await asyncio.gather(
        *(say(memory, "s", *several, Idempotency_Key=f"k-{number % 20}") for number in range(40))
    )
    assert {one.status for one in made} == {201}
    assert sum("Idempotency-Replayed" in one.headers for one in made) == 20
    page = (await memory.ask("GET", "/sessions/s/messages?user_id=ann&limit=100")).body["messages"]
    assert [one["number"] for one in page] == list(range(60, 0, -1))
    # What was said together stands together.
    assert [one["content"] for one in reversed(page)] == [f"word {n % 3}" for n in range(60)]


async def test_sessions_are_listed_by_their_last_word(memory: Served) -> None:
    for name in ("a", "b", "c"):
        await say(memory, name, TALK[0])
    await say(memory, "a", TALK[1])
    await memory.remember("I like tea", session_id="b")
    await memory.remember("I like trains", session_id="b", expires_at="2999-01-01T00:00:00Z")
    first = (await memory.ask("GET", "/sessions?user_id=ann&limit=2")).body
    assert [one["id"] for one in first["sessions"]] == ["a", "c"]
    rest = (await memory.ask("GET", f"/sessions?user_id=ann&cursor={first['next']}")).body
    assert [(one["id"], one["memories"]) for one in rest["sessions"]] == [("b", 2)]
    assert rest["next"] is None
    assert (await memory.ask("GET", "/sessions?user_id=ann&agent_id=x")).body["sessions"] == []
    assert (await memory.ask("GET", "/sessions?user_id=bob")).body["sessions"] == []


async def test_a_deleted_session_is_gone_and_no_retry_brings_it_back(memory: Served) -> None:
    await say(memory, "s", *TALK, Idempotency_Key="k-1")
    kept = await memory.remember("I like tea", session_id="s")
    removed = await memory.ask("DELETE", "/sessions/s?user_id=ann")
    assert (removed.status, removed.body) == (200, {"messages": 3, "memories": 0})
    for path in ("s", "s/messages", "s/context"):
        assert (await memory.ask("GET", f"/sessions/{path}?user_id=ann")).status == 404
    assert (await say(memory, "s", *TALK, Idempotency_Key="k-1")).status == 409
    assert (await memory.ask("GET", "/sessions/s?user_id=ann")).status == 404
    [new] = (await say(memory, "s", TALK[0])).body["messages"]
    assert new["number"] == 1
    assert (await memory.ask("GET", f"/memories/{kept['id']}?user_id=ann")).status == 200


async def test_a_session_takes_its_memories_along_if_wanted(memory: Served) -> None:
    await say(memory, "s", *TALK)
    gone = await memory.remember("I like tea", session_id="s")
    kept = await memory.remember("I like trains", session_id="other")
    for one in (gone, kept):  # they are read from copies from now on
        assert (await memory.ask("GET", f"/memories/{one['id']}?user_id=ann")).status == 200
    removed = await memory.ask("DELETE", "/sessions/s?user_id=ann&memories=true")
    assert removed.body == {"messages": 3, "memories": 1}
    assert (await memory.ask("GET", f"/memories/{gone['id']}?user_id=ann")).status == 404
    # Also of a session in which nothing was said here.
    removed = await memory.ask("DELETE", "/sessions/other?user_id=ann&memories=true")
    assert removed.body == {"messages": 0, "memories": 1}
    assert (await memory.ask("GET", f"/memories/{kept['id']}?user_id=ann")).status == 404
    assert (await memory.ask("DELETE", "/sessions/other?user_id=ann&memories=true")).status == 404


async def test_a_foreign_session_is_as_one_that_is_not_there(memory: Served) -> None:
    await say(memory, "s", *TALK)
    for method, path in (("GET", "s"), ("GET", "s/messages"), ("GET", "s/context"),
                         ("DELETE", "s")):  # fmt: skip
        foreign = await memory.ask(method, f"/sessions/{path}?user_id=bob")
        absent = await memory.ask(method, f"/sessions/x{path}?user_id=bob")
        foreign.body.pop("request_id"), absent.body.pop("request_id")
        assert (foreign.status, foreign.body) == (404, absent.body)
    assert (await memory.ask("GET", "/sessions/s?user_id=ann")).body["messages"] == 3


async def test_a_user_reaches_his_own_sessions(postgres: PostgresServer) -> None:
    auth = AuthConfig.model_validate({"jwt": {"secret": SECRET}})
    async with served(postgres, auth=auth) as memory:
        body = {"messages": turns(*TALK)}
        path = "/sessions/s/messages"
        own = await memory.ask("POST", path, body, Authorization=bearer("ann"))
        assert own.status == 201
        got = await memory.ask("GET", path, Authorization=bearer("bob"))
        assert got.status == 404
        foreign = await memory.ask("GET", f"{path}?user_id=ann", Authorization=bearer("bob"))
        assert foreign.status == 403
        service = bearer("svc", "memory:any")
        got = await memory.ask("GET", f"{path}?user_id=ann", Authorization=service)
        assert len(got.body["messages"]) == 3
        assert (await memory.ask("GET", path)).status == 401


@pytest.mark.parametrize("name", ["%20s", "a%2Fb", "a b", "-", "x" * 257, "é"])
async def test_what_is_no_session_id_is_refused_with_the_reason(memory: Served, name: str) -> None:
    got = await say(memory, name, TALK[0])
    assert (got.status, got.body["details"][0]["field"]) == (422, "id")


@pytest.mark.parametrize(
    ("query", "field"),
    [("budget=0", "budget"), ("budget=200001", "budget"), ("budget=many", "budget"),
     ("query=", "query"), ("other=1", "other")],
)  # fmt: skip
async def test_what_is_no_context_is_refused(memory: Served, query: str, field: str) -> None:
    await say(memory, "s", TALK[0])
    got = await memory.ask("GET", f"/sessions/s/context?user_id=ann&{query}")
    assert (got.status, got.body["details"][0]["field"]) == (422, field)


async def context(memory: Served, session: str, **asked: Any) -> dict[str, Any]:
    query = "&".join(f"{name}={value}" for name, value in asked.items())
    got = await memory.ask("GET", f"/sessions/{session}/context?user_id=ann&{query}")
    assert got.status == 200, got
    said: dict[str, Any] = got.body
    return said


async def test_a_context_has_memories_of_all_sessions_and_the_newest_turns(memory: Served) -> None:
    balcony = await memory.remember("Wants a balcony for the tomatoes", session_id="earlier")
    await memory.remember("Plays the violin")
    said = (await say(memory, "s", *TALK)).body["messages"]
    await memory.followed()
    made = await context(memory, "s", budget=500)
    assert made["query"] == TALK[2][1]
    assert (made["left_out"], made["degraded"], made["budget"]) == (0, [], 500)
    remembered = [one["source"] for one in made["lines"] if one["kind"] == "memory"]
    assert remembered[0] == balcony["id"]
    spoken = [one for one in made["lines"] if one["kind"] == "turn"]
    assert [(one["source"], one["role"], one["text"]) for one in spoken] == [
        (one["id"], one["role"], one["content"]) for one in said
    ]
    assert made["text"].splitlines()[-1] == f"[turn 3 user] {TALK[2][1]}"
    assert [one["number"] for one in spoken] == [1, 2, 3]
    assert made["tokens"] == Estimate().count(made["text"]) <= 500
    asked = await context(memory, "s", budget=500, query="violin", touch="false")
    assert "Plays the violin" in asked["text"]


async def test_memories_of_a_context_are_numbered_in_it_and_have_their_ids_beside_it(
    memory: Served,
) -> None:
    await say(memory, "s", ("user", "Any tea?"))
    made = {one["content"]: one["id"] for one in [
        await memory.remember("I like green tea"),
        await memory.remember("Any tea?"),  # as is said already: its number is left out
        await memory.remember("Tea in the evening keeps me awake"),
    ]}  # fmt: skip
    got = await context(memory, "s", budget=500)
    remembered = [one for one in got["lines"] if one["kind"] == "memory"]
    assert {one["text"]: one["source"] for one in remembered} == {
        text: name for text, name in made.items() if text != "Any tea?"
    }
    assert got["text"].splitlines()[:-1] == [
        f"[memory {one['number']}] {one['text']}" for one in remembered
    ]
    assert [one["number"] for one in remembered] == [2, 3]
    await memory.service.touches.flush()
    for text, name in made.items():
        read = await memory.ask("GET", f"/memories/{name}?user_id=ann&touch=false")
        assert read.body["access_count"] == (text != "Any tea?")


async def test_before_anything_is_said_a_context_has_the_memories_that_a_query_finds(
    memory: Served,
) -> None:
    fact = await memory.remember("Plays the violin")
    got = await context(memory, "new", query="violin")
    assert got["text"] == "[memory 1] Plays the violin"
    assert (got["lines"][0]["source"], got["left_out"]) == (fact["id"], 0)
    nothing = await memory.ask("GET", "/sessions/new/context?user_id=bob&query=violin")
    assert (nothing.status, nothing.body["text"], nothing.body["lines"]) == (200, "", [])
    for path in ("/sessions/new/context?user_id=ann", "/sessions/new?user_id=ann"):
        assert (await memory.ask("GET", path)).status == 404


async def test_a_context_is_never_over_its_budget(memory: Served) -> None:
    for number in range(30):
        await memory.remember(f"Fact {number}: the flat number {number} has a balcony.")
    talk = [("user", f"Flat {number} costs {number * 10} euros. " * 5) for number in range(100)]
    said = (await say(memory, "s", *talk)).body["messages"]
    await memory.followed()
    for budget in (1, 30, 200, 1000, 3000):
        made = await context(memory, "s", budget=budget, query="balcony")
        assert made["tokens"] <= budget
        assert made["tokens"] == (Estimate().count(made["text"]) if made["lines"] else 0)
        verbatim = [one["source"] for one in made["lines"] if one["kind"] == "turn"]
        assert verbatim == [one["id"] for one in said][100 - len(verbatim) :]
        assert made["left_out"] == 100 - len(verbatim)
    made = await context(memory, "s", budget=3000, query="balcony")
    kinds = {one["kind"] for one in made["lines"]}
    assert kinds == {"memory", "digest", "turn"}
    known = {one["id"] for one in said}
    assert all(one["source"] in known for one in made["lines"] if one["kind"] == "digest")


async def test_of_a_long_session_the_newest_are_looked_at(memory: Served) -> None:
    for _ in range(11):
        await say(memory, "s", *[("user", "The same again.")] * 100)
    await say(memory, "s", ("user", "And now something else."))
    made = await context(memory, "s", budget=100)
    verbatim = sum(one["kind"] == "turn" for one in made["lines"])
    assert made["left_out"] == 1101 - verbatim
    assert made["lines"][-1]["text"] == "And now something else."


async def test_memories_in_a_context_count_as_read(memory: Served) -> None:
    made = await memory.remember("Wants a balcony")
    await say(memory, "s", TALK[2])
    await memory.followed()
    await context(memory, "s", touch="false")
    await context(memory, "s")
    await memory.service.touches.flush()
    got = await memory.ask("GET", f"/memories/{made['id']}?user_id=ann&touch=false")
    assert got.body["access_count"] == 1


async def test_sessions_that_are_idle_go_where_that_is_wanted(memory: Served) -> None:
    await say(memory, "old", *TALK)
    await say(memory, "new", *TALK)
    async with memory.service.pool.acquire() as connection:
        await connection.execute("SELECT set_config('uaitools.user_id', 'ann', false)")
        await connection.execute(
            "UPDATE sessions SET updated_at = now() - interval '31 days' WHERE id = 'old'"
        )
    assert await memory.service.sessions.end_idle(timedelta(days=30), 10) == 1
    assert (await memory.ask("GET", "/sessions/old?user_id=ann")).status == 404
    assert (await memory.ask("GET", "/sessions/new?user_id=ann")).body["messages"] == 3


def test_tokens_are_counted_by_the_model_that_is_named(tmp_path: Path) -> None:
    assert isinstance(tokeniser(ContextConfig()), Estimate)
    for none in (tmp_path / "none.json", tmp_path):
        with pytest.raises(ValidationError, match="there is no file"):
            ContextConfig(tokeniser=none)
    bad = tmp_path / "bad.json"
    bad.write_text("{}")
    with pytest.raises(ConfigError, match=r"bad\.json: no tokenizer\.json"):
        tokeniser(ContextConfig(tokeniser=bad))
    model = files("wordllama") / "tokenizers" / "l2_supercat_tokenizer_config.json"
    counted = tokeniser(ContextConfig(tokeniser=Path(str(model))))
    assert counted.count("") == 0 < counted.count("a few words")
