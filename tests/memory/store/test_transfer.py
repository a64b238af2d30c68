"""Imports beside deletions, and what has expired."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from tests.memory.store.waiting import somebody_waits
from uaitools.memory.model import Draft
from uaitools.memory.store.creating import Creating
from uaitools.memory.store.scope import Scopes
from uaitools.memory.store.statements import buried
from uaitools.memory.store.transfer import Taken, Transfer
from uaitools.tasks import spawn


async def test_an_import_brings_nothing_back_that_is_being_deleted(scopes: Scopes) -> None:
    """It waits for the id, which comes free with a tombstone that it has not seen."""
    made = (await Creating(scopes).create(Draft("ann", "I like tea"))).memory
    memory = replace(made, id=UUID(str(made.id)))  # as it comes with an import
    taken = Taken()
    async with scopes.writing("ann") as connection:
        await connection.fetchval(buried("user_id = $1"), "ann")
        taking = spawn(Transfer(scopes).take("ann", [memory], taken), name="import")
        async with scopes.everyone() as other:
            await somebody_waits(other)
    await taking
    assert (taken.imported, taken.present, taken.deleted) == (0, 1, 1)
    async with scopes.everyone() as connection:
        assert await connection.fetchval("SELECT count(*) FROM memories") == 0
        assert await connection.fetchval("SELECT count(*) FROM outbox") == 1


async def test_what_has_expired_is_in_the_way_of_no_import(scopes: Scopes) -> None:
    """Whether it has the id, the external_id or the content; that of others stays."""
    creating, past = Creating(scopes), datetime.now(UTC) - timedelta(seconds=1)
    contents = ("I like tea", "I like milk", "I like rum", "I like gin")
    drafts = [Draft("ann", one, external_id=one[-1], expires_at=past) for one in contents]
    old = [(await creating.create(one)).memory for one in drafts]
    lines = [replace(one, id=uuid4(), expires_at=None) for one in old[:3]]
    lines[0] = replace(lines[0], external_id="new")
    lines[1] = replace(lines[1], content="I like beer")
    lines[2] = replace(lines[2], id=UUID(str(old[2].id)), external_id=None, content="I like ale")
    taken = Taken()
    await Transfer(scopes).take("ann", lines, taken)
    assert (taken.imported, taken.present, taken.duplicates) == (3, 0, 0)
    async with scopes.everyone() as connection:
        rows = await connection.fetch("SELECT id FROM memories")
        assert {row["id"] for row in rows} == {old[3].id, *(one.id for one in lines)}
        marks = await connection.fetch("SELECT memory_id FROM outbox")
        assert {row["memory_id"] for row in marks} == {one.id for one in (*old, *lines)}
