"""The index in PostgreSQL: a table of the extension `vector`, scanned exactly under its user."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, Final, Protocol
from uuid import UUID

import asyncpg

from uaitools import log
from uaitools.memory.index.entries import checked, newest
from uaitools.memory.index.errors import IndexAway, IndexUnavailable
from uaitools.memory.index.port import OTHER_MODEL, Entry, Held, Hit, Vector

_log = log.get_logger(__name__)
PAGE: Final = 1000  # what `ids` reads at once
TIMEOUT: Final = 10.0  # seconds for a statement
LOCK: Final = 0x75_61_69_76  # of those who make the table: only one at a time can

# The order of users is that of their bytes, which every server has. The vectors have no length of
# their own in the type: those of another model are replaced in place, and never left behind.
_TABLE: Final = """
CREATE TABLE IF NOT EXISTS memory_vectors (
    user_id text COLLATE "C" NOT NULL,
    id uuid NOT NULL,
    model text NOT NULL,
    generation bigint NOT NULL,
    vector vector NOT NULL,
    PRIMARY KEY (user_id, id)
)"""
_UPSERT: Final = """
INSERT INTO memory_vectors AS held (user_id, id, model, generation, vector)
VALUES ($1, $2, $3, $4, $5::real[]::vector)
ON CONFLICT (user_id, id) DO UPDATE
SET model = excluded.model, generation = excluded.generation, vector = excluded.vector
WHERE held.generation <= excluded.generation"""
# The inner product of vectors with the length 1 is the cosine; of zeros it is 0, where pgvector's
# cosine is no number.
_SEARCH: Final = """
SELECT id, -(vector <#> $3::real[]::vector) AS score FROM memory_vectors
WHERE user_id = $1 AND model = $2 AND ($5::uuid[] IS NULL OR id = ANY($5))
ORDER BY vector <#> $3::real[]::vector, id LIMIT $4"""
_PAGE: Final = f"""
SELECT user_id, id, CASE model WHEN $1 THEN generation ELSE {OTHER_MODEL} END AS generation
FROM memory_vectors WHERE ($2::text IS NULL OR user_id = $2) AND (user_id, id) > ($3, $4)
ORDER BY user_id, id LIMIT $5"""  # noqa: S608 - a number of ours


class Pool(Protocol):
    """Whatever lends connections of asyncpg."""

    def acquire(self) -> AbstractAsyncContextManager[Any]:
        """Lend a connection for a block."""


class PgvectorIndex:
    """The table `memory_vectors` of the database that `pool` leads to.

    model: what made the vectors; those of another one are not searched, and are replaced one by
    one. dimension: how long they are.
    """

    name: Final = "pgvector"

    def __init__(self, pool: Pool, model: str, dimension: int, timeout: float = TIMEOUT) -> None:
        self._pool = pool
        self._model = model
        self._dimension = dimension
        self._timeout = timeout

    def __repr__(self) -> str:
        return f"<PgvectorIndex {self._model}>"

    async def start(self) -> None:
        """Make the table. Raises IndexUnavailable where the extension is not, and IndexAway."""
        with _translated():
            async with self._pool.acquire() as connection, connection.transaction():
                try:
                    await _prepare(connection)
                except asyncpg.InsufficientPrivilegeError as error:
                    raise IndexUnavailable(
                        "its table is not there and this role may not make it; have the owner of"
                        " the database run CREATE EXTENSION vector and GRANT CREATE ON SCHEMA"
                    ) from error

    async def stop(self) -> None:
        """The pool is somebody else's."""

    async def upsert(self, entries: Sequence[Entry]) -> None:
        """Take entries in, all or none."""
        # In one order for all, so that no two wait for each other.
        rows = [
            (e.user, e.id, self._model, e.generation, checked(e.vector, self._dimension).tolist())
            for e in sorted(newest(entries), key=lambda e: (e.user, e.id))
        ]
        with _translated():
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.executemany(_UPSERT, rows, timeout=self._timeout)

    async def delete(self, user: str, ids: Sequence[UUID]) -> None:
        """Forget entries of a user, of whichever model."""
        await self._fetch(
            "DELETE FROM memory_vectors WHERE user_id = $1 AND id = ANY($2::uuid[])", user, ids
        )

    async def delete_scope(self, user: str) -> int:
        """Forget everything of a user. How many there were."""
        with _translated():
            async with self._pool.acquire() as connection:
                tag: str = await connection.execute(
                    "DELETE FROM memory_vectors WHERE user_id = $1", user, timeout=self._timeout
                )
        return int(tag.removeprefix("DELETE "))

    async def search(
        self, user: str, vector: Vector, limit: int, among: Sequence[UUID] | None = None
    ) -> list[Hit]:
        """The nearest of a user, exactly; of equals those with the smaller id."""
        vector = checked(vector, self._dimension)
        if limit < 1 or not vector.any():
            return []
        rows = await self._fetch(_SEARCH, user, self._model, vector.tolist(), limit, among)
        return [Hit(row["id"], row["score"]) for row in rows]

    async def ids(self, user: str | None = None) -> AsyncIterator[Held]:
        """What the table has, in the order of users and ids."""
        after = ("", UUID(int=0))
        while True:
            rows = await self._fetch(_PAGE, self._model, user, *after, PAGE)
            for row in rows:
                yield Held(row["id"], row["user_id"], row["generation"])
            if len(rows) < PAGE:
                return
            after = (rows[-1]["user_id"], rows[-1]["id"])

    async def health(self) -> bool:
        """Whether the table can be read."""
        try:
            await self._fetch("SELECT 1 FROM memory_vectors LIMIT 1")
        except IndexAway:
            return False
        return True

    async def _fetch(self, statement: str, *arguments: object) -> list[Any]:
        with _translated():
            async with self._pool.acquire() as connection:
                rows: list[Any] = await connection.fetch(
                    statement, *arguments, timeout=self._timeout
                )
                return rows


@contextmanager
def _translated() -> Iterator[None]:
    """Raise IndexAway for whatever keeps the database from answering."""
    try:
        yield
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
        _log.warning("the vector index failed", reason=f"{type(error).__name__}: {error}")
        raise IndexAway(f"PostgreSQL answers with {type(error).__name__}") from error


async def _prepare(connection: Any) -> None:
    if await connection.fetchval("SELECT to_regclass('memory_vectors') IS NOT NULL"):
        return  # somebody else may own it, and let us write
    if not await connection.fetchval(
        "SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'"
    ):
        raise IndexUnavailable(
            "the database has no extension `vector`; install pgvector there, or use another index"
        )
    await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
    await connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    await connection.execute(_TABLE)
