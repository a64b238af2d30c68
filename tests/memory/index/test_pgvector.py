"""The index in a database: what it needs there, and what happens when that is not so."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import asyncpg
import pytest

from tests.memory.index.conformance import held
from tests.memory.index.grounds import MODEL, InDatabase
from tests.memory.index.postgres import DEBIAN, pool_of
from tests.memory.index.vectors import DIMENSION, entry, number, unit
from uaitools.memory.index.errors import IndexAway, IndexUnavailable
from uaitools.memory.index.pgvector import PgvectorIndex, provide
from uaitools.memory.index.port import OTHER_MODEL, Entry, Held
from uaitools.memory.store.scope import Scopes


@pytest.mark.skipif(not DEBIAN.exists(), reason="no PostgreSQL without pgvector is installed")
async def test_without_the_extension_it_says_what_to_do(plain_postgres: Path) -> None:
    async with pool_of(plain_postgres) as pool, pool.acquire() as connection:
        with pytest.raises(IndexUnavailable, match="install pgvector"):
            await provide(connection)


@pytest.fixture
async def reader(postgres: Path, pool: Any) -> AsyncIterator[Any]:
    """Connections of a role that owns nothing, to a database without the table."""
    await pool.execute("DROP TABLE IF EXISTS memory_vectors")
    await pool.execute("CREATE ROLE reader LOGIN")
    async with pool_of(postgres, "reader") as poor:
        yield poor
    await pool.execute("DROP OWNED BY reader; DROP ROLE reader")


async def test_a_role_that_may_not_make_the_table_is_told_so(pool: Any, reader: Any) -> None:
    index = PgvectorIndex(Scopes(reader), MODEL, DIMENSION)
    with pytest.raises(IndexUnavailable, match="the owner's start makes it"):
        await index.start()
    assert not await index.health()
    async with reader.acquire() as connection:
        with pytest.raises(IndexUnavailable, match="CREATE EXTENSION vector"):
            await provide(connection)

    await InDatabase(pool).open()
    await pool.execute("GRANT ALL ON memory_vectors TO reader")
    await index.start()
    await index.upsert([entry(1, unit(1))])
    assert len(await index.search("ann", unit(1), 5)) == 1


async def test_who_owns_nothing_reaches_the_vectors_of_one_user(pool: Any, reader: Any) -> None:
    index = await InDatabase(pool).open()
    await pool.execute("GRANT ALL ON memory_vectors TO reader")
    await index.upsert([entry(n, unit(1, n), user) for n in range(3) for user in ("ann", "bob")])
    counted = "SELECT count(*) FROM memory_vectors"
    async with Scopes(reader).of("ann") as connection:
        assert await connection.fetchval(counted) == 3
        assert await connection.execute("DELETE FROM memory_vectors WHERE user_id='bob'") == (
            "DELETE 0"
        )
    async with reader.acquire() as connection:
        await connection.execute("RESET ALL")
        assert await connection.fetchval(counted) == 0


async def test_many_that_start_at_once_make_one_table(pool: Any) -> None:
    await pool.execute("DROP TABLE IF EXISTS memory_vectors; DROP EXTENSION IF EXISTS vector")

    async def make() -> None:
        async with pool.acquire() as connection:
            await provide(connection)

    await asyncio.gather(*(make() for _ in range(4)))
    assert await PgvectorIndex(Scopes(pool), MODEL, DIMENSION).health()


async def test_vectors_of_another_model_are_not_searched_and_give_way(pool: Any) -> None:
    old = await InDatabase(pool).open()
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


async def test_writers_of_the_same_entries_do_not_wait_for_each_other_forever(pool: Any) -> None:
    index = await InDatabase(pool).open()
    entries = [entry(n, unit(1, n), user) for n in range(50) for user in ("ann", "bob")]
    await asyncio.gather(*(index.upsert(e) for e in (entries, entries[::-1]) for _ in range(4)))
    assert len(await held(index)) == 100


async def test_a_database_that_is_away_is_named_as_the_reason(postgres: Path) -> None:
    async with pool_of(postgres) as pool:
        index = await InDatabase(pool).open()
    with pytest.raises(IndexAway, match="InterfaceError") as raised:
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
    async def acquire(self) -> AsyncIterator[Any]:
        raise self._error
        yield


@pytest.mark.parametrize(
    "error",
    [
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


async def test_a_statement_that_takes_too_long_is_given_up(pool: Any) -> None:
    await InDatabase(pool).open()
    index = PgvectorIndex(Scopes(pool), MODEL, DIMENSION, timeout=0.2)
    async with pool.acquire() as other, other.transaction():
        await other.execute("LOCK TABLE memory_vectors")
        with pytest.raises(IndexAway, match="TimeoutError"):
            await index.search("ann", unit(1), 5)
    assert await index.search("ann", unit(1), 5) == []
