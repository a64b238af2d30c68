"""Memories one by one and page by page."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from tests.memory.store.graves import grave
from uaitools.memory.errors import Changed, Outdated, Unknown
from uaitools.memory.model import Draft, Memory
from uaitools.memory.store.changing import VERSIONS
from uaitools.memory.store.creating import Creating
from uaitools.memory.store.memories import Memories, Place
from uaitools.memory.store.scope import Scopes
from uaitools.memory.wanted import Wanted

TEA = Draft("ann", "I like tea")


async def make(scopes: Scopes, content: str, **fields: Any) -> Memory:
    draft = replace(TEA, content=content, **fields)
    return (await Creating(scopes).create(draft)).memory


async def test_a_foreign_memory_is_as_unknown_as_one_that_is_not_there(scopes: Scopes) -> None:
    memories, made = Memories(scopes), await make(scopes, "I like tea")
    for user, name in (("bob", made.id), ("ann", uuid4())):
        for attempt in (
            memories.get(user, name),
            memories.change(user, name, {"pinned": True}),
            memories.delete(user, name),
            memories.history(user, name),
        ):
            with pytest.raises(Unknown) as caught:
                await attempt
            assert caught.value.message == Unknown().message
    assert await memories.get("ann", made.id) == made


async def test_an_expired_memory_is_gone_and_then_removed(scopes: Scopes) -> None:
    memories = Memories(scopes)
    past = datetime.now(UTC) - timedelta(seconds=1)
    made = await make(scopes, "I like tea", expires_at=past)
    with pytest.raises(Unknown):
        await memories.get("ann", made.id)
    assert (await memories.page("ann", Wanted(), None, 10)).memories == []
    assert [await memories.remove_expired(10) for _ in range(2)] == [1, 0]
    async with scopes.everyone() as connection:
        assert await connection.fetchval("SELECT count(*) FROM tombstones") == 0


async def test_a_deleted_memory_leaves_a_tombstone_a_mark_and_nothing_else(scopes: Scopes) -> None:
    memories, made = Memories(scopes), await make(scopes, "I like tea")
    await memories.change("ann", made.id, {"content": "I like coffee"})
    await memories.delete("ann", made.id)
    with pytest.raises(Unknown):
        await memories.delete("ann", made.id)
    async with scopes.everyone() as connection:
        for table in ("memories", "versions", "embeddings"):
            assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 0
        graves = await connection.fetch("SELECT grave FROM tombstones")
        assert [row["grave"] for row in graves] == [grave("ann", made.id)]
        marks = await connection.fetch("SELECT memory_id FROM outbox")
        assert [row["memory_id"] for row in marks] == [made.id]


async def test_a_change_keeps_what_was_before(scopes: Scopes) -> None:
    memories, made = Memories(scopes), await make(scopes, "I like tea", metadata={"a": 1})
    changed = await memories.change("ann", made.id, {"content": "I like coffee", "tags": ("x",)})
    assert (changed.content, changed.tags, changed.version) == ("I like coffee", ("x",), 2)
    again = await memories.change("ann", made.id, {"pinned": True, "metadata": {}})
    assert (again.version, again.updated_at >= changed.updated_at) == (3, True)
    history, _ = await memories.history("ann", made.id)
    assert [(one.version, one.changed) for one in history] == [
        (2, "metadata, pinned"),
        (1, "content, tags"),
    ]
    assert (history[1].document["content"], history[1].document["metadata"]) == (
        "I like tea",
        {"a": 1},
    )
    assert await memories.change("ann", made.id, {"pinned": True}) == again  # it changes nothing


async def test_only_a_changed_content_has_the_index_follow(scopes: Scopes) -> None:
    memories, made = Memories(scopes), await make(scopes, "I like tea")
    async with scopes.everyone() as connection:
        await connection.execute("DELETE FROM outbox")
        await memories.change("ann", made.id, {"pinned": True})
        assert await connection.fetchval("SELECT count(*) FROM outbox") == 0
        await memories.change("ann", made.id, {"content": "I like coffee"})
        assert await connection.fetchval("SELECT memory_id FROM outbox") == made.id


async def test_a_change_may_ask_for_the_version_that_it_has_read(scopes: Scopes) -> None:
    memories, made = Memories(scopes), await make(scopes, "I like tea")
    changes = [
        memories.change("ann", made.id, {"content": f"I like {number}"}, 1) for number in range(8)
    ]
    outcomes = await asyncio.gather(*changes, return_exceptions=True)
    assert sum(isinstance(one, Memory) for one in outcomes) == 1
    assert sum(isinstance(one, Outdated) for one in outcomes) == 7


async def test_a_change_makes_no_twins(scopes: Scopes) -> None:
    memories = Memories(scopes)
    await make(scopes, "I like tea", external_id="e")
    other = await make(scopes, "I like coffee")
    with pytest.raises(Changed, match="content"):
        await memories.change("ann", other.id, {"content": "i like TEA"})
    with pytest.raises(Changed, match="external_id"):
        await memories.change("ann", other.id, {"external_id": "e"})
    assert await memories.get("ann", other.id) == other
    assert await memories.history("ann", other.id) == ([], None)


async def test_what_has_expired_is_in_the_way_of_no_change(scopes: Scopes) -> None:
    memories, past = Memories(scopes), datetime.now(UTC) - timedelta(seconds=1)
    await make(scopes, "I like tea", expires_at=past)
    await make(scopes, "I like milk", external_id="e", expires_at=past)
    other = await make(scopes, "I like coffee")
    changed = await memories.change("ann", other.id, {"content": "I LIKE tea"})
    assert (changed.content, changed.version) == ("I LIKE tea", 2)
    changed = await memories.change("ann", other.id, {"external_id": "e"})
    assert (changed.external_id, changed.version) == ("e", 3)
    assert await memories.remove_expired(10) == 0


async def test_so_many_versions_are_kept_and_no_more(scopes: Scopes) -> None:
    memories, made = Memories(scopes), await make(scopes, "I like tea")
    for number in range(VERSIONS + 5):
        await memories.change("ann", made.id, {"content": f"I like {number}"})
    history, _ = await memories.history("ann", made.id)
    assert [one.version for one in history] == list(range(VERSIONS + 5, 5, -1))


async def test_pages_show_every_memory_once_in_order_while_others_come(scopes: Scopes) -> None:
    memories = Memories(scopes)
    made = [await make(scopes, f"fact {number}") for number in range(23)]
    seen: list[Memory] = []
    after: Place | None = None
    while True:
        page = await memories.page("ann", Wanted(), after, 5)
        seen += page.memories
        await make(scopes, f"new fact {len(seen)}")
        after = page.next
        if after is None:
            break
    assert [one.id for one in seen] == [one.id for one in reversed(made)]


async def test_conditions_choose_what_is_wanted(scopes: Scopes) -> None:
    memories = Memories(scopes)
    one = await make(scopes, "one", type="fact", tags=("a", "b"), session_id="s", pinned=True)
    two = await make(scopes, "two", type="event", tags=("b",), agent_id="x")
    three = await make(scopes, "three", tags=("c",), external_id="e")

    async def contents(**wanted: Any) -> list[str]:
        page = await memories.page("ann", Wanted(**wanted), None, 10)
        return [found.content for found in reversed(page.memories)]

    assert await contents(types=["event", "none"]) == ["two"]
    assert await contents(any_tags=["a", "c"]) == ["one", "three"]
    assert await contents(all_tags=["a", "b"]) == ["one"]
    assert await contents(no_tags=["a", "c"]) == ["two"]
    assert await contents(session_id="s") == ["one"]
    assert await contents(agent_id="x") == ["two"]
    assert await contents(external_id="e") == ["three"]
    assert await contents(pinned=False) == ["two", "three"]
    assert await contents(created_after=two.created_at) == ["two", "three"]
    assert await contents(created_before=two.created_at) == ["one"]
    assert await contents(updated_after=three.created_at + timedelta(days=1)) == []
    await make(scopes, "four", supersedes=one.id)
    assert await contents() == ["two", "three", "four"]
    assert await contents(superseded=True) == ["one", "two", "three", "four"]


async def test_a_change_of_other_fields_leaves_what_it_is_found_by(scopes: Scopes) -> None:
    """It is not analysed again: a long text takes its time."""
    made = (await Creating(scopes).create(Draft("ann", "I like tea"))).memory
    async with scopes.everyone() as connection:
        await connection.execute("UPDATE memories SET words = 'as:1 it:2 was:3', analysis = 0")
        await Memories(scopes).change("ann", made.id, {"pinned": True})
        row = await connection.fetchrow("SELECT words::text, analysis FROM memories")
        assert tuple(row or ()) == ("'as':1 'it':2 'was':3", 0)
        await Memories(scopes).change("ann", made.id, {"content": "I like milk"})
        row = await connection.fetchrow("SELECT words::text, length FROM memories")
        assert tuple(row or ()) == ("'i':1 'like':2 'milk':3", 3)
