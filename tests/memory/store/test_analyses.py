"""What an older version has analysed is found by the words of this one, and else as before."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from tests.memory.store.waiting import somebody_waits
from uaitools.memory.analysis import VERSION
from uaitools.memory.analysis.query import query
from uaitools.memory.model import Draft
from uaitools.memory.store.analyses import LOCK, Analyses
from uaitools.memory.store.creating import Creating
from uaitools.memory.store.lexical import Lexical
from uaitools.memory.store.scope import Scopes
from uaitools.memory.store.statistics import Statistics
from uaitools.memory.wanted import Wanted
from uaitools.tasks import spawn

TEXT = "I moved to Munich"
OLD = "UPDATE memories SET words = 'kiwi:1', length = 1, analysis = $1"


async def make(scopes: Scopes, content: str = TEXT, version: int = VERSION - 1) -> UUID:
    """A memory that an older version has analysed, in its own way."""
    name = (await Creating(scopes).create(Draft("ann", content))).memory.id
    async with scopes.of("ann") as connection:
        await connection.execute(f"{OLD} WHERE id = $2", version, name)
    return name


async def found(scopes: Scopes, text: str) -> set[UUID]:
    matches = await Lexical(scopes, Statistics(scopes)).search("ann", query(text), Wanted(), 100)
    return {one.id for one in matches}


async def rest_of(scopes: Scopes, name: UUID) -> dict[str, Any]:
    """What is not to change."""
    derived = {"words", "length", "analysis"}
    async with scopes.of("ann") as connection:
        row = await connection.fetchrow("SELECT * FROM memories WHERE id = $1", name)
        marks = await connection.fetch("SELECT * FROM outbox")
        versions = await connection.fetch("SELECT * FROM versions")
    assert row is not None
    kept = {key: value for key, value in row.items() if key not in derived}
    return {**kept, "marks": marks, "versions": versions}


async def test_older_rows_are_found_by_the_words_of_this_version(scopes: Scopes) -> None:
    name = await make(scopes)
    before = await rest_of(scopes, name)
    assert (await found(scopes, "moving"), await found(scopes, "kiwi")) == (set(), {name})
    assert await Analyses(scopes).renew(10) == 1
    assert (await found(scopes, "moving"), await found(scopes, "kiwi")) == ({name}, set())
    assert await rest_of(scopes, name) == before
    assert await Analyses(scopes).renew(10) == 0


async def test_a_few_at_a_time(scopes: Scopes) -> None:
    names = {await make(scopes, f"{TEXT} in {year}") for year in range(2000, 2005)}
    analyses = Analyses(scopes)
    assert [await analyses.renew(2) for _ in range(4)] == [2, 2, 1, 0]
    assert await found(scopes, "moving") == names


async def test_what_a_newer_version_has_analysed_is_left_alone(scopes: Scopes) -> None:
    name = await make(scopes, version=VERSION + 1)
    assert await Analyses(scopes).renew(10) == 0
    assert await found(scopes, "kiwi") == {name}


async def test_a_memory_that_is_changed_meanwhile_is_found_by_what_it_says_then(
    scopes: Scopes,
) -> None:
    name = await make(scopes)
    async with scopes.writing("ann") as connection:
        await connection.execute("SELECT FROM memories WHERE id = $1 FOR UPDATE", name)
        renewing = spawn(Analyses(scopes).renew(10), name="analyse")
        async with scopes.everyone() as other:
            await somebody_waits(other)
        await connection.execute(
            "UPDATE memories SET content = 'I like tea', words = 'tea:3', generation = 2"
            " WHERE id = $1",
            name,
        )
    assert await renewing == 1
    assert (await found(scopes, "tea"), await found(scopes, "moving")) == ({name}, set())
    assert await Analyses(scopes).renew(10) == 1  # by an older version


async def test_a_memory_that_is_deleted_meanwhile_stays_so(scopes: Scopes) -> None:
    name = await make(scopes)
    async with scopes.writing("ann") as connection:
        await connection.execute("DELETE FROM memories WHERE id = $1", name)
        renewing = spawn(Analyses(scopes).renew(10), name="analyse")
        async with scopes.everyone() as other:
            await somebody_waits(other)
    assert await renewing == 1
    assert await found(scopes, "moving") == set()
    assert await Analyses(scopes).renew(10) == 0


async def test_one_process_does_it(scopes: Scopes) -> None:
    await make(scopes)
    async with scopes.everyone() as connection, connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
        assert await Analyses(scopes).renew(10) == 0
    assert await Analyses(scopes).renew(10) == 1
