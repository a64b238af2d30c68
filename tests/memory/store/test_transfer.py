"""Imports beside deletions."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

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
