"""Memories over HTTP: made once, read, changed, deleted, listed."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode
from uuid import uuid4

import jwt
import pytest

from tests.memory.api.served import Served, served
from tests.peers.gateways import eventually
from tests.peers.postgres import PostgresServer
from uaitools.auth.config import AuthConfig

SECRET = "a secret of the application, 32 bytes long"


def bearer(user: str, *scopes: str) -> str:
    claims = {"sub": user, "exp": 4_000_000_000, "scope": " ".join(scopes)}
    return f"Bearer {jwt.encode(claims, SECRET, algorithm='HS256')}"


async def test_a_memory_is_201_and_its_like_200(memory: Served) -> None:
    body = {"user_id": "ann", "content": "I like tea", "tags": ["drink"], "metadata": {"n": 1.5}}
    made = await memory.ask("POST", "/memories", body)
    assert (made.status, made.headers["ETag"]) == (201, '"1"')
    assert list(made.body)[:4] == ["id", "user_id", "type", "content"]
    assert {name: made.body[name] for name in body} == body
    again = await memory.ask("POST", "/memories", {**body, "content": "i like  TEA"})
    assert (again.status, again.body) == (200, made.body)
    got = await memory.ask("GET", f"/memories/{made.body['id']}?user_id=ann&touch=false")
    assert (got.status, got.body) == (200, made.body)


async def test_a_request_that_is_sent_again_gets_what_it_got(memory: Served) -> None:
    body = {"user_id": "ann", "content": "I like tea"}
    made = await memory.ask("POST", "/memories", body, Idempotency_Key="k-1")
    again = await memory.ask("POST", "/memories", body, Idempotency_Key="k-1")
    assert (made.status, again.status, again.body) == (201, 201, made.body)
    assert again.headers["Idempotency-Replayed"] == "true"
    other = await memory.ask(
        "POST", "/memories", {**body, "content": "I like coffee"}, Idempotency_Key="k-1"
    )
    assert other.status == 409
    bad = await memory.ask("POST", "/memories", body, Idempotency_Key="k 1")
    assert (bad.status, bad.body["details"][0]["field"]) == (422, "Idempotency-Key")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("content", ""),
        ("content", " \n"),
        ("content", "a\0b"),
        ("content", "x" * 65_537),
        ("content", None),
        ("user_id", " ann"),
        ("user_id", ""),
        ("user_id", "änn"),
        ("type", "a b"),
        ("tags", [""]),
        ("tags", ["a\0"]),
        ("tags", ["a"] * 65),
        ("metadata", []),
        ("metadata", {"a": "\0"}),
        ("metadata", {"a" * 20_000: 1}),
        ("metadata", {"a": 1 << 63}),
        ("metadata", {"a": [5e-324] * 60}),  # which PostgreSQL writes with 326 characters each
        ("metadata", {"a": [1e300] * 60}),
        ("metadata", {"a": [1 << 62] * 1000}),
        ("metadata", {"a": [[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]}),
        ("expires_at", "2026-01-01"),
        ("expires_at", "2026-01-01T00:00:00"),
        ("expires_at", "2001-01-01T00:00:00Z"),
        ("pinned", 1),
        ("supersedes", "x"),
        ("unknown", 1),
    ],
)
async def test_a_wrong_field_is_named_and_nothing_is_kept(
    memory: Served, field: str, value: Any
) -> None:
    body = {"user_id": "ann", "content": "I like tea", field: value}
    answer = await memory.ask("POST", "/memories", body)
    assert answer.status == 422, answer
    assert answer.body["details"][0]["field"].split(".")[0] == field
    assert (await memory.ask("GET", "/memories?user_id=ann")).body["memories"] == []


async def test_reading_counts_unless_asked_not_to(memory: Served) -> None:
    made = await memory.remember("I like tea")
    path = f"/memories/{made['id']}?user_id=ann"
    for _ in range(3):
        await memory.ask("GET", path)
    await memory.ask("GET", f"{path}&touch=false")
    await memory.search("tea")
    await memory.search("tea", touch=False)
    await memory.service.touches.flush()
    [shown] = (await memory.ask("GET", "/memories?user_id=ann")).body["memories"]
    assert shown["access_count"] == 4
    await memory.ask("GET", path)
    await memory.ask("DELETE", path)
    await memory.service.touches.flush()
    assert (await memory.ask("GET", path)).status == 404


async def test_a_change_may_take_fields_away_and_needs_the_version_it_names(
    memory: Served,
) -> None:
    made = await memory.remember("I like tea", external_id="e", metadata={"a": 1})
    path = f"/memories/{made['id']}?user_id=ann"
    changed = await memory.ask("PATCH", path, {"external_id": None, "metadata": {"b": 2}})
    assert (changed.status, changed.body["external_id"], changed.body["metadata"]) == (
        200,
        None,
        {"b": 2},
    )
    stale = await memory.ask("PATCH", path, {"pinned": True}, If_Match='"1"')
    assert stale.status == 412
    assert (await memory.ask("PATCH", path, {"pinned": True}, If_Match='"2"')).status == 200
    assert (await memory.ask("PATCH", path, {"pinned": True}, If_Match="2")).status == 412
    for wrong in ({}, {"content": None}, {"id": str(uuid4())}, {"user_id": "bob"}):
        assert (await memory.ask("PATCH", path, wrong)).status == 422
    history = await memory.ask("GET", path.replace("?", "/history?"))
    assert [one["version"] for one in history.body["versions"]] == [2, 1]


async def test_a_foreign_id_is_answered_as_an_absent_one(memory: Served) -> None:
    made = await memory.remember("I like tea")
    for method, body in (("GET", None), ("PATCH", {"pinned": True}), ("DELETE", None)):
        answers = [
            await memory.ask(method, f"/memories/{name}?user_id={user}", body)
            for name, user in ((made["id"], "bob"), (uuid4(), "ann"), ("abc", "ann"))
        ]
        for answer in answers:
            answer.body.pop("request_id")
        assert [one.status for one in answers] == [404] * 3
        assert answers[0].body == answers[1].body == answers[2].body


async def test_pages_lead_to_each_other(memory: Served) -> None:
    made = [(await memory.remember(f"fact {number}"))["id"] for number in range(7)]
    seen, path = [], "/memories?user_id=ann&limit=3"
    cursor = ""
    while True:
        page = (await memory.ask("GET", path + cursor)).body
        seen += [one["id"] for one in page["memories"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert seen == made[::-1]
    assert (await memory.ask("GET", f"{path}&cursor=nonsense")).status == 422
    assert (await memory.ask("GET", "/memories?user_id=ann&limit=101")).status == 422
    assert (await memory.ask("GET", f"{path}&tag=x&type=fact&type=event")).body["memories"] == []


async def test_several_are_made_or_refused_each_by_itself(memory: Served) -> None:
    memories = [
        {"user_id": "ann", "content": "I like tea", "external_id": "e"},
        {"user_id": "ann", "content": "I like coffee", "external_id": "e"},
        {"user_id": "bob", "content": "I like tea"},
        {"user_id": "ann", "content": "I LIKE tea"},
    ]
    answer = await memory.ask("POST", "/memories/batch", {"memories": memories})
    results = answer.body["results"]
    assert (answer.status, answer.body["created"]) == (200, 2)
    assert [one["created"] for one in results] == [True, False, True, False]
    assert results[1]["error"]["code"] == 409
    assert results[3]["memory"] == results[0]["memory"]


async def test_one_key_for_several_is_refused_with_what_to_do_instead(memory: Served) -> None:
    memories = [{"user_id": "ann", "content": "I like tea"}]
    body = {"memories": memories}
    answer = await memory.ask("POST", "/memories/batch", body, Idempotency_Key="k")
    assert (answer.status, answer.body["details"][0]["field"]) == (422, "Idempotency-Key")
    assert "give each an external_id" in answer.body["details"][0]["message"]
    assert (await memory.ask("GET", "/memories?user_id=ann")).body["memories"] == []


async def test_a_token_reaches_its_users_memories_only(postgres: PostgresServer) -> None:
    auth = AuthConfig.model_validate({"jwt": {"secret": SECRET}})
    async with served(postgres, auth=auth) as memory:
        ann, service = bearer("ann"), bearer("svc", "memory:any")
        made = await memory.ask("POST", "/memories", {"content": "mine"}, Authorization=ann)
        assert (made.status, made.body["user_id"]) == (201, "ann")
        path = f"/memories/{made.body['id']}"
        assert (await memory.ask("GET", path)).status == 401
        assert (await memory.ask("GET", path, Authorization=bearer("bob"))).status == 404
        named = await memory.ask("GET", f"{path}?user_id=ann", Authorization=bearer("bob"))
        assert named.status == 403
        assert (await memory.ask("GET", path, Authorization=service)).status == 422
        for who in (ann, service):
            found = await memory.ask("GET", f"{path}?user_id=ann", Authorization=who)
            assert found.status == 200


async def test_what_is_counted_is_told(memory: Served) -> None:
    await memory.remember("I like tea")
    await memory.search("tea")
    await memory.followed()
    await eventually(lambda: memory.service.following.followed >= 1)
    text = (await memory.ask("GET", "/metrics")).body.decode()
    for name in ("memory_searches_total 1", "memory_followed_total", "postgres_connections"):
        assert name in text
    health = await memory.ask("GET", "/health")
    assert health.body["dependencies"] == dict.fromkeys(("database", "index", "cache"), "healthy")


async def test_a_list_has_the_filters_of_search(memory: Served) -> None:
    for number, tags in enumerate((["a"], ["a", "b"], ["b", "c"], [])):
        await memory.remember(f"fact {number}", tags=tags, metadata={"n": number})

    async def listed(**query: str | list[str]) -> list[int]:
        texts = urlencode({"user_id": "ann", **query}, doseq=True)
        answer = await memory.ask("GET", f"/memories?{texts}")
        assert answer.status == 200, answer
        return sorted(one["metadata"]["n"] for one in answer.body["memories"])

    assert await listed(any_tag=["a", "c"]) == [0, 1, 2]
    assert await listed(no_tag=["a"]) == [2, 3]
    assert await listed(tag=["b"], no_tag=["c"]) == [1]
    assert await listed(metadata='{"gt": ["n", 1]}') == [2, 3]
    assert await listed(metadata='{"lt": ["n", 3]}', any_tag=["c"]) == [2]
    for wrong in ('{"above": ["n", 1]}', "{", "[]", "x"):
        answer = await memory.ask("GET", f"/memories?user_id=ann&metadata={quote(wrong)}")
        assert answer.status == 422
        assert answer.body["details"][0]["field"].startswith("metadata")
