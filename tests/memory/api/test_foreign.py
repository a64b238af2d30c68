"""Rows of another user are found by no query, row-level security or not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from tests.memory.api.served import Served
from uaitools.memory.store.scope import Scopes

if TYPE_CHECKING:
    from uaitools.postgres.access import Connection


@asynccontextmanager
async def of_all(
    scopes: Scopes, user: str, *_changed: UUID, limit: float | None = None
) -> AsyncIterator[Connection]:
    """What `Scopes.of` lends, with the rows of everybody in reach."""
    async with scopes.everyone() as connection:
        assert user == "bob", limit
        yield connection


async def test_queries_name_the_user_though_all_rows_are_in_reach(
    memory: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    await memory.remember("I like green tea")
    made = await memory.remember("I like tea")
    path = f"/memories/{made['id']}"
    await memory.ask("PATCH", f"{path}?user_id=ann", {"pinned": True})
    said = {"user_id": "ann", "messages": [{"role": "user", "content": "hello"}]}
    await memory.ask("POST", "/sessions/s-1/messages", said)
    await memory.followed()
    monkeypatch.setattr(Scopes, "of", of_all)
    for method, which, body in (
        ("GET", path, None),
        ("PATCH", path, {"content": "I like coffee"}),
        ("GET", f"{path}/history", None),
        ("DELETE", path, None),
        ("GET", "/sessions/s-1", None),
        ("GET", "/sessions/s-1/messages", None),
        ("GET", "/sessions/s-1/context", None),
        ("DELETE", "/sessions/s-1", None),
    ):
        answer = await memory.ask(method, f"{which}?user_id=bob", body)
        assert answer.status == 404, (method, which, answer)
    for mode in ("lexical", "vector", "hybrid"):
        assert await memory.search("tea", "bob", mode=mode, min_score=0) == []
    assert (await memory.ask("GET", "/memories?user_id=bob")).body["memories"] == []
    assert (await memory.ask("GET", "/sessions?user_id=bob")).body["sessions"] == []
    assert (await memory.ask("GET", "/memories/export?user_id=bob")).body == b""
    forget = {"user_id": "bob", "policy": {"keep_best": 1}, "dry_run": False}
    assert (await memory.ask("POST", "/memories/forget", forget)).body["count"] == 0
    gone = (await memory.ask("DELETE", "/users/bob")).body
    assert set(gone["removed"].values()) == {0}
    monkeypatch.undo()
    assert (await memory.ask("GET", f"{path}?user_id=ann")).body["content"] == "I like tea"
    assert (await memory.ask("GET", "/sessions/s-1?user_id=ann")).status == 200
