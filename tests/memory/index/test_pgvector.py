"""The index in a database: what it needs there, and what happens when that is not so."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

import asyncpg
import pytest

from tests.memory.index.conformance import held
from tests.memory.index.grounds import MODEL, InDatabase
from tests.memory.index.vectors import DIMENSION, entry, number, unit
from tests.peers.postgres import PostgresServer, fresh_database
from uaitools.memory.index.errors import IndexAway, IndexUnavailable
from uaitools.memory.index.pgvector import PgvectorIndex, provide
from uaitools.memory.index.port import OTHER_MODEL, Entry, Held
from uaitools.memory.store.scope import Scopes
from uaitools.postgres.access import Access
from uaitools.postgres.database import Database
from uaitools.postgres.errors import DatabaseAway, PoolExhausted, TooSlow
from uaitools.postgres.pool import Pool


async def test_without_the_extension_it_says_what_to_do(plain_postgres: PostgresServer) -> None:
    async with fresh_database(plain_postgres) as plain, plain.owned() as connection:
        with pytest.raises(IndexUnavailable, match="install pgvector"):
            await provide(connection)


@pytest.fixture
async def administrator(database: Database) -> Access:
    """A superuser, in a database that could have the extension but has not."""
    access = replace(database.owner, arguments={**database.owner.arguments, "user": "postgres"})
    connection = await access.connect()
    await connection.execute("DROP EXTENSION vector")
    await connection.close()
    return access


async def test_a_role_that_may_not_make_the_table_is_told_so(
    administrator: Access, pool: Pool, in_database: InDatabase
) -> None:
    index = PgvectorIndex(Scopes(pool), MODEL, DIMENSION)
    with pytest.raises(IndexUnavailable, match="the owner's start makes it"):
        await index.start()
    assert not await index.health()
    async with pool.acquire() as connection:
        with pytest.raises(IndexUnavailable, match="CREATE EXTENSION vector"):
            await provide(connection)

    connection = await administrator.connect()
    await connection.execute("CREATE EXTENSION vector")
    await connection.close()
    await in_database.open()
    await index.start()
    await index.upsert([entry(1, unit(1))])
    assert len(await index.search("ann", unit(1), 5)) == 1


async def test_who_owns_nothing_reaches_the_vectors_of_one_user(
    pool: Pool, in_database: InDatabase
) -> None:
    index = await in_database.open()
    await index.upsert([entry(n, unit(1, n), user) for n in range(3) for user in ("ann", "bob")])
    counted = "SELECT count(*) FROM memory_vectors"
    async with Scopes(pool).of("ann") as connection:
        assert await connection.fetchval(counted) == 3
        assert await connection.execute("DELETE FROM memory_vectors WHERE user_id='bob'") == (
            "DELETE 0"
        )
    async with pool.acquire() as connection:
        await connection.execute("RESET ALL")
        assert await connection.fetchval(counted) == 0


async def test_many_that_start_at_once_make_one_table(administrator: Access) -> None:
    pool = Pool(administrator, name="memory")

    async def make() -> None:
        async with pool.acquire() as connection:
            await provide(connection)

    await asyncio.gather(*(make() for _ in range(4)))
    assert await PgvectorIndex(Scopes(pool), MODEL, DIMENSION).health()
    await pool.stop()


async def test_vectors_of_another_model_are_not_searched_and_give_way(
    pool: Pool, in_database: InDatabase
) -> None:
    old = await in_database.open()
    await old.upsert([entry(1, unit(1)), entry(2, unit(1))])
    new = PgvectorIndex(Scopes(pool), "test/model-2/2", 2)
    await new.start()
    short = Entry(number(1), "ann", 1, unit(1)[:2])
    assert await new.search("ann", short.vector, 5) == []
    assert await held(new) == [
        Held(number(1), "ann", OTHER_MODEL),
        Held(number(2), "ann", OTHER_MODEL),
    ]
    await new.upsert([short])
    assert [hit.id for hit in await new.search("ann", short.vector, 5)] == [number(1)]
    assert [hit.id for hit in await old.search("ann", unit(1), 5)] == [number(2)]
    assert await new.delete_scope("ann") == 2


async def test_writers_of_the_same_entries_do_not_wait_for_each_other_forever(
    in_database: InDatabase,
) -> None:
    index = await in_database.open()
    entries = [entry(n, unit(1, n), user) for n in range(50) for user in ("ann", "bob")]
    await asyncio.gather(*(index.upsert(e) for e in (entries, entries[::-1]) for _ in range(4)))
    assert len(await held(index)) == 100


async def test_a_database_that_is_away_is_named_as_the_reason(
    pool: Pool, in_database: InDatabase
) -> None:
    index = await in_database.open()
    await pool.stop()
    with pytest.raises(IndexAway, match="DatabaseAway") as raised:
        await index.search("ann", unit(1), 5)
    assert raised.value.code == 503
    assert raised.value.retry_seconds == 1
    assert not await index.health()
    with pytest.raises(IndexAway):
        await index.start()


class Failing:
    """A pool whose connections fail in one way."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    @asynccontextmanager
    async def acquire(self, _: float | None = None) -> AsyncIterator[Any]:
        raise self._error
        yield


@pytest.mark.parametrize(
    "error",
    [
        DatabaseAway("memory", "went away"),
        PoolExhausted("memory"),
        TooSlow("memory", 10),
        OSError("gone"),
        TimeoutError(),
        asyncpg.TooManyConnectionsError("full"),
        asyncpg.AdminShutdownError("closing"),
        asyncpg.ConnectionDoesNotExistError("cut"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_whatever_fails_is_one_error(error: Exception) -> None:
    index = PgvectorIndex(Scopes(cast(Any, Failing(error))), MODEL, DIMENSION)
    for call in (
        index.start(),
        index.upsert([entry(1, unit(1))]),
        index.delete("ann", [number(1)]),
        index.delete_scope("ann"),
        index.search("ann", unit(1), 5),
        anext(aiter(index.ids())),
    ):
        with pytest.raises(IndexAway, match=type(error).__name__):
            await call
    assert not await index.health()


async def test_a_statement_that_takes_too_long_is_given_up(
    pool: Pool, in_database: InDatabase
) -> None:
    await in_database.open()
    index = PgvectorIndex(Scopes(pool), MODEL, DIMENSION, timeout=0.2)
    async with pool.acquire() as other, other.transaction():
        await other.execute("LOCK TABLE memory_vectors")
        with pytest.raises(IndexAway, match="TimeoutError"):
            await index.search("ann", unit(1), 5)
    assert await index.search("ann", unit(1), 5) == []
