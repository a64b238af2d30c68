"""The index in a database: what it needs there, and what happens when that is not so."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.memory.index.conformance import held
from tests.memory.index.grounds import MODEL, InDatabase
from tests.memory.index.postgres import DEBIAN, pool_of
from tests.memory.index.vectors import DIMENSION, entry, number, unit
from uaitools.memory.index.errors import IndexAway, IndexUnavailable
from uaitools.memory.index.pgvector import PgvectorIndex
from uaitools.memory.index.port import OTHER_MODEL, Entry, Held


@pytest.mark.skipif(not DEBIAN.exists(), reason="no PostgreSQL without pgvector is installed")
async def test_without_the_extension_it_says_what_to_do(plain_postgres: Path) -> None:
    async with pool_of(plain_postgres) as pool:
        with pytest.raises(IndexUnavailable, match="install pgvector"):
            await PgvectorIndex(pool, MODEL, DIMENSION).start()


async def test_a_role_that_may_not_make_the_table_is_told_so(postgres: Path, pool: Any) -> None:
    await pool.execute("DROP TABLE IF EXISTS memory_vectors")
    await pool.execute("CREATE ROLE reader LOGIN")
    try:
        async with pool_of(postgres, "reader") as poor:
            index = PgvectorIndex(poor, MODEL, DIMENSION)
            with pytest.raises(IndexUnavailable, match="CREATE EXTENSION vector"):
                await index.start()
            assert not await index.health()

            await PgvectorIndex(pool, MODEL, DIMENSION).start()
            await pool.execute("GRANT ALL ON memory_vectors TO reader")
            await index.start()
            await index.upsert([entry(1, unit(1))])
            assert len(await index.search("ann", unit(1), 5)) == 1
    finally:
        await pool.execute("DROP OWNED BY reader; DROP ROLE reader")


async def test_many_that_start_at_once_make_one_table(pool: Any) -> None:
    await pool.execute("DROP TABLE IF EXISTS memory_vectors; DROP EXTENSION IF EXISTS vector")
    await asyncio.gather(*(PgvectorIndex(pool, MODEL, DIMENSION).start() for _ in range(4)))
    assert await PgvectorIndex(pool, MODEL, DIMENSION).health()


async def test_vectors_of_another_model_are_not_searched_and_give_way(pool: Any) -> None:
    old = await InDatabase(pool).open()
    await old.upsert([entry(1, unit(1)), entry(2, unit(1))])
    new = PgvectorIndex(pool, "test/model-2/2", 2)
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
    index = PgvectorIndex(Failing(error), MODEL, DIMENSION)
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
    index = PgvectorIndex(pool, MODEL, DIMENSION, timeout=0.2)
    async with pool.acquire() as other, other.transaction():
        await other.execute("LOCK TABLE memory_vectors")
        with pytest.raises(IndexAway, match="TimeoutError"):
            await index.search("ann", unit(1), 5)
    assert await index.search("ann", unit(1), 5) == []
