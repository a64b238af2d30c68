"""The deletion of a user beside everything else, and what a receipt stands for."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

from tests.memory.store.waiting import somebody_waits
from uaitools.memory.model import Draft, Memory
from uaitools.memory.store.creating import Creating
from uaitools.memory.store.deletions import Deletions
from uaitools.memory.store.departures import Departure
from uaitools.memory.store.scope import Scopes
from uaitools.memory.store.statements import marked
from uaitools.memory.store.transfer import Taken, Transfer
from uaitools.tasks import spawn

LONG = 600.0  # seconds


async def make(scopes: Scopes, content: str = "I like tea") -> Memory:
    return (await Creating(scopes).create(Draft("ann", content), key=content)).memory


async def claimed(deletions: Deletions) -> Departure:
    [one] = await deletions.departures.claim(10, LONG)
    return one


async def test_who_changes_a_memory_and_who_deletes_its_user_take_turns(scopes: Scopes) -> None:
    """Each locks the row and then the mark."""
    memory = await make(scopes)
    async with scopes.writing("ann") as connection:
        await connection.execute("SELECT FROM memories WHERE id = $1 FOR UPDATE", memory.id)
        deleting = spawn(Deletions(scopes).begin("ann"), name="delete")
        async with scopes.everyone() as other:
            await somebody_waits(other)
        rows = "SELECT id, user_id FROM memories"
        await connection.execute(f"WITH made AS ({rows}) {marked('made')}")
    assert (await deleting).removed["memories"] == 1


async def test_a_deletion_that_is_asked_for_twice_completes_both_receipts(scopes: Scopes) -> None:
    deletions = Deletions(scopes)
    await make(scopes)
    first = await deletions.begin("ann")
    old = await claimed(deletions)
    second = await deletions.begin("ann")
    assert await deletions.departures.complete(await claimed(deletions), 0)
    for receipt in (first, second):
        found = await deletions.receipt("ann", receipt.id)
        assert found is not None
        assert found.completed_at is not None
    assert await deletions.departures.complete(old, 0)  # who is late finds it done
    assert await deletions.departures.claim(10, LONG) == []


async def test_memories_that_are_imported_meanwhile_are_of_later_however_old(
    scopes: Scopes,
) -> None:
    deletions = Deletions(scopes)
    memory = await make(scopes)
    await deletions.begin("ann")
    old = replace(memory, id=uuid4(), created_at=memory.created_at - timedelta(days=1))
    await Transfer(scopes).take("ann", [old], Taken())
    assert await deletions.departures.complete(await claimed(deletions), 0)
