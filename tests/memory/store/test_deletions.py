"""The deletion of a user beside everything else, and what a receipt stands for."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from tests.memory.store.waiting import somebody_waits
from uaitools.memory.errors import Changed
from uaitools.memory.model import Draft, Memory
from uaitools.memory.store.creating import Creating, Outcome
from uaitools.memory.store.deletions import BURY_KEYS, Deletions
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


async def test_what_is_sent_again_after_the_deletion_makes_nothing_anew(scopes: Scopes) -> None:
    creating, deletions = Creating(scopes), Deletions(scopes)
    await creating.create(Draft("bob", "I like tea"), "k")
    await creating.create(Draft("ann", "I like tea"), "k")
    for _ in range(2):
        await deletions.begin("ann")
        for content in ("I like tea", "I like milk"):
            with pytest.raises(Changed, match="was deleted; take a new Idempotency-Key"):
                await creating.create(Draft("ann", content), "k")
    assert (await creating.create(Draft("bob", "I like tea"), "k")).outcome is Outcome.REPLAYED
    assert (await creating.create(Draft("ann", "I like tea"), "new")).outcome is Outcome.CREATED
    await creating.forget_keys(timedelta(0))
    assert (await creating.create(Draft("ann", "I like tea"), "k")).outcome is Outcome.DUPLICATE


async def test_what_is_sent_again_while_its_user_is_deleted_waits_for_that(scopes: Scopes) -> None:
    creating = Creating(scopes)
    await creating.create(Draft("ann", "I like tea"), "k")
    async with scopes.writing("ann") as connection:
        await connection.fetchval(BURY_KEYS, "ann")
        sending = spawn(creating.create(Draft("ann", "I like tea"), "k"), name="send again")
        async with scopes.everyone() as other:
            await somebody_waits(other)
    with pytest.raises(Changed, match="was deleted"):
        await sending
    async with scopes.everyone() as connection:
        assert await connection.fetchval("SELECT count(*) FROM idempotency_keys") == 0


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
