"""The deletion of a user beside everything else, and what a receipt stands for."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

from tests.memory.store.waiting import somebody_waits
from tests.peers.gateways import settled
from uaitools.memory.model import Draft, Memory
from uaitools.memory.store.creating import Creating
from uaitools.memory.store.deletions import Deletions, Departure
from uaitools.memory.store.outbox import Outbox
from uaitools.memory.store.scope import Scopes
from uaitools.memory.store.statements import marked
from uaitools.memory.store.transfer import Taken, Transfer
from uaitools.postgres.database import Database
from uaitools.postgres.pool import Pool
from uaitools.tasks import spawn

LONG = 600.0  # seconds


async def make(scopes: Scopes, content: str = "I like tea") -> Memory:
    return (await Creating(scopes).create(Draft("ann", content), key=content)).memory


async def claimed(deletions: Deletions) -> Departure:
    [one] = await deletions.claim(10, LONG)
    return one


async def test_who_changes_a_memory_and_who_deletes_its_user_take_turns(scopes: Scopes) -> None:
    """Each locks the row and then the mark."""
    memory = await make(scopes)
    async with scopes.writing("ann") as connection:
        await connection.execute("SELECT FROM memories WHERE id = $1 FOR UPDATE", memory.id)
        deleting = spawn(Deletions(scopes).begin("ann"), name="delete")
        async with scopes.everyone() as other:
            await somebody_waits(other)
        rows = "SELECT id, user_id, generation FROM memories"
        await connection.execute(f"WITH made AS ({rows}) {marked('made')}")
    assert (await deleting).removed["memories"] == 1


async def test_a_deletion_that_is_asked_for_twice_completes_both_receipts(scopes: Scopes) -> None:
    deletions = Deletions(scopes)
    await make(scopes)
    first = await deletions.begin("ann")
    old = await claimed(deletions)
    second = await deletions.begin("ann")
    assert await deletions.complete(await claimed(deletions), 0)
    for receipt in (first, second):
        found = await deletions.receipt("ann", receipt.id)
        assert found is not None
        assert found.completed_at is not None
    assert await deletions.complete(old, 0)  # who is late finds it done
    assert await deletions.claim(10, LONG) == []


async def test_memories_that_are_imported_meanwhile_are_of_later_however_old(
    scopes: Scopes,
) -> None:
    deletions = Deletions(scopes)
    memory = await make(scopes)
    await deletions.begin("ann")
    old = replace(memory, id=uuid4(), created_at=memory.created_at - timedelta(days=1))
    await Transfer(scopes).take("ann", [old], Taken())
    assert await deletions.complete(await claimed(deletions), 0)


async def test_what_is_left_is_removed_and_looked_for_again(scopes: Scopes) -> None:
    deletions = Deletions(scopes)
    memory = await make(scopes)
    await deletions.begin("ann")
    one = await claimed(deletions)
    await make(scopes)  # by a defect of ours under the old id
    async with scopes.everyone() as connection:
        await connection.execute("UPDATE requests SET memory_id = $1", memory.id)
        await connection.execute("UPDATE memories SET id = $1", memory.id)
    assert not await deletions.complete(one, 0)
    assert await deletions.complete(one, 0)
    async with scopes.everyone() as connection:
        for table in ("memories", "requests"):
            assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 0


async def test_it_is_not_complete_while_somebody_may_write_to_the_index(scopes: Scopes) -> None:
    deletions, outbox = Deletions(scopes), Outbox(scopes)
    await make(scopes, "one")
    work = await outbox.claim(10)
    await make(scopes, "two")
    assert (await deletions.begin("ann")).removed["outbox"] == 1
    one = await claimed(deletions)
    assert not await deletions.complete(one, 0)
    await outbox.done(work)
    assert not await deletions.complete(one, 0)  # he may have written it: it is looked at again
    await outbox.done(await outbox.claim(10))
    assert await deletions.complete(one, 0)


async def test_what_a_dead_process_had_begun_is_gone_on_with_at_once(
    scopes: Scopes, database: Database
) -> None:
    pool = Pool(database.service, name="memory")
    await pool.start()
    await Deletions(scopes).begin("ann")
    await claimed(Deletions(Scopes(pool)))
    assert await Deletions(scopes).claim(10, LONG) == []
    await pool.stop()

    async def taken() -> bool:
        return bool(await Deletions(scopes).claim(10, LONG))

    await settled(taken)
