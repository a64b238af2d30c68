"""A user who has gone is looked for until nothing of them is left."""

from __future__ import annotations

from tests.peers.gateways import settled
from uaitools.memory.model import Draft, Memory
from uaitools.memory.store.creating import Creating
from uaitools.memory.store.deletions import Deletions
from uaitools.memory.store.departures import Departure, Departures
from uaitools.memory.store.outbox import Outbox
from uaitools.memory.store.scope import Scopes
from uaitools.postgres.database import Database
from uaitools.postgres.pool import Pool

LONG = 600.0  # seconds


async def make(scopes: Scopes, content: str = "I like tea", key: str | None = None) -> Memory:
    return (await Creating(scopes).create(Draft("ann", content), key=key or content)).memory


async def claimed(departures: Departures) -> Departure:
    [one] = await departures.claim(10, LONG)
    return one


async def test_what_is_left_is_removed_and_looked_for_again(scopes: Scopes) -> None:
    departures = Departures(scopes)
    memory = await make(scopes)
    await Deletions(scopes).begin("ann")
    one = await claimed(departures)
    await make(scopes, key="new")  # by a defect of ours under the old id
    async with scopes.everyone() as connection:
        await connection.execute("UPDATE idempotency_keys SET memory_id = $1", memory.id)
        await connection.execute("UPDATE memories SET id = $1", memory.id)
    assert not await departures.complete(one, 0)
    assert await departures.complete(one, 0)
    async with scopes.everyone() as connection:
        for table in ("memories", "idempotency_keys"):
            assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 0


async def test_it_is_not_complete_while_somebody_may_write_to_the_index(scopes: Scopes) -> None:
    departures, outbox = Departures(scopes), Outbox(scopes)
    await make(scopes, "one")
    work = await outbox.claim(10)
    await make(scopes, "two")
    assert (await Deletions(scopes).begin("ann")).removed["outbox"] == 1
    one = await claimed(departures)
    assert not await departures.complete(one, 0)
    await outbox.done(work)
    assert not await departures.complete(one, 0)  # they may have written it: it is looked at again
    await outbox.done(await outbox.claim(10))
    assert await departures.complete(one, 0)


async def test_what_a_dead_process_had_begun_is_gone_on_with_at_once(
    scopes: Scopes, database: Database
) -> None:
    pool = Pool(database.service, name="memory")
    await pool.start()
    await Deletions(scopes).begin("ann")
    await claimed(Departures(Scopes(pool)))
    assert await Departures(scopes).claim(10, LONG) == []
    await pool.stop()

    async def taken() -> bool:
        return bool(await Departures(scopes).claim(10, LONG))

    await settled(taken)
