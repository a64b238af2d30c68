"""The index in PostgreSQL: a table of the extension `vector`, scanned exactly under its user.

The owner of the database's tables makes it, after the migrations, see `provide`; the service's role
only works with it, and reaches the rows of one user at a time, as everywhere.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol
from uuid import UUID

import asyncpg

from uaitools import log
from uaitools.memory.index.entries import checked, newest
from uaitools.memory.index.errors import IndexAway, IndexUnavailable
from uaitools.memory.index.port import OTHER_MODEL, Entry, Held, Hit, Vector
from uaitools.memory.store.statements import count_of
from uaitools.postgres.errors import DatabaseAway, PoolExhausted, TooSlow
from uaitools.postgres.migrations import locked

if TYPE_CHECKING:
    from uaitools.postgres.access import Connection

_log = log.get_logger(__name__)
PAGE: Final = 1000  # what `ids` reads at once
TIMEOUT: Final = 10.0  # seconds for a statement

# The order of users is that of their bytes, which every server has. The vectors have no length of
# their own in the type: those of another model are replaced in place, and never left behind.
_TABLE: Final = """
CREATE TABLE memory_vectors (
    user_id text COLLATE "C" NOT NULL,
    id uuid NOT NULL,
    model text NOT NULL,
    generation bigint NOT NULL,
    vector vector NOT NULL,
    PRIMARY KEY (user_id, id)
)"""
_SCOPE: Final = "SELECT keep_users_apart('memory_vectors')"  # of the migrations
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
# What keeps the database from answering, as asyncpg, the pool and the clock say it.
_FAILURES: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    DatabaseAway,
    PoolExhausted,
    TooSlow,
    OSError,
    TimeoutError,
)


class Scopes(Protocol):
    """Whatever lends connections of asyncpg: see memory.store.scope."""

    def of(self, user: str) -> AbstractAsyncContextManager[Connection]:
        """Lend one that reaches the rows of a user."""

    def everyone(self) -> AbstractAsyncContextManager[Connection]:
        """Lend one that reaches all rows."""


class PgvectorIndex:
    """The table `memory_vectors` of the database that `scopes` lead to.

    model: what made the vectors; those of another one are not searched, and are replaced one by
    one. dimension: how long they are.
    """

    name: Final = "pgvector"

    def __init__(
        self, scopes: Scopes, model: str, dimension: int, timeout: float = TIMEOUT
    ) -> None:
        self._scopes = scopes
        self._model = model
        self._dimension = dimension
        self._timeout = timeout

    def __repr__(self) -> str:
        return f"<PgvectorIndex {self._model}>"

    async def start(self) -> None:
        """See that the table is there. Raises IndexUnavailable, and IndexAway."""
        with _translated():
            async with self._scopes.everyone() as connection:
                if not await _is_there(connection):
                    raise IndexUnavailable("its table is not there; the owner's start makes it")

    async def stop(self) -> None:
        """The connections are somebody else's."""

    async def upsert(self, entries: Sequence[Entry]) -> None:
        """Take entries in, all or none."""
        # In one order for all, so that no two wait for each other.
        rows = [
            (e.user, e.id, self._model, e.generation, checked(e.vector, self._dimension).tolist())
            for e in sorted(newest(entries), key=lambda e: (e.user, e.id))
        ]
        with _translated():
            async with self._scopes.everyone() as connection, connection.transaction():
                await connection.executemany(_UPSERT, rows, timeout=self._timeout)

    async def delete(self, user: str, ids: Sequence[UUID]) -> None:
        """Forget entries of a user, of whichever model."""
        statement = "DELETE FROM memory_vectors WHERE user_id = $1 AND id = ANY($2::uuid[])"
        await self._fetch(user, statement, user, ids)

    async def delete_scope(self, user: str) -> int:
        """Forget everything of a user. How many there were."""
        with _translated():
            async with self._scopes.of(user) as connection:
                tag = await connection.execute(
                    "DELETE FROM memory_vectors WHERE user_id = $1", user, timeout=self._timeout
                )
        return count_of(tag)

    async def search(
        self, user: str, vector: Vector, limit: int, among: Sequence[UUID] | None = None
    ) -> list[Hit]:
        """The nearest of a user, exactly; of equals those with the smaller id."""
        vector = checked(vector, self._dimension)
        if limit < 1 or not vector.any():
            return []
        rows = await self._fetch(user, _SEARCH, user, self._model, vector.tolist(), limit, among)
        return [Hit(row["id"], row["score"]) for row in rows]

    async def ids(self, user: str | None = None) -> AsyncIterator[Held]:
        """What the table has, in the order of users and ids."""
        after = ("", UUID(int=0))
        while True:
            rows = await self._fetch(user, _PAGE, self._model, user, *after, PAGE)
            for row in rows:
                yield Held(row["id"], row["user_id"], row["generation"])
            if len(rows) < PAGE:
                return
            after = (rows[-1]["user_id"], rows[-1]["id"])

    async def health(self) -> bool:
        """Whether the table can be read."""
        try:
            await self._fetch(None, "SELECT 1 FROM memory_vectors LIMIT 1")
        except IndexAway:
            return False
        return True

    async def _fetch(self, user: str | None, statement: str, *arguments: object) -> list[Any]:
        """The rows of a statement on those of a user, or of all."""
        lent = self._scopes.everyone() if user is None else self._scopes.of(user)
        with _translated():
            async with lent as connection:
                return await connection.fetch(statement, *arguments, timeout=self._timeout)


async def provide(connection: Connection) -> None:
    """Make the table, as the owner of the others, which are there. Raises IndexUnavailable."""
    try:
        async with locked(connection), connection.transaction():
            if not await _is_there(connection):
                await _make(connection)
    except asyncpg.InsufficientPrivilegeError as error:
        raise IndexUnavailable(
            f"its table cannot be made ({error}); have an administrator of the database run"
            " CREATE EXTENSION vector"
        ) from error


@contextmanager
def _translated() -> Iterator[None]:
    """Raise IndexAway for whatever keeps the database from answering."""
    try:
        yield
    except _FAILURES as error:
        _log.warning("the vector index failed", reason=f"{type(error).__name__}: {error}")
        raise IndexAway(f"PostgreSQL answers with {type(error).__name__}") from error


async def _is_there(connection: Connection) -> bool:
    found: bool = await connection.fetchval("SELECT to_regclass('memory_vectors') IS NOT NULL")
    return found


async def _make(connection: Connection) -> None:
    known = "SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'"
    if not await connection.fetchval(known):
        raise IndexUnavailable(
            "the database has no extension `vector`; install pgvector there, or use another index"
        )
    await connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    await connection.execute(_TABLE)
    await connection.execute(_SCOPE)
