"""A user goes: everything of his in one transaction, and a receipt of what that was.

Rows, their history and vectors go at once, and tombstones keep their ids from coming back. What
an index has of him is left to `deleting`; the transaction says so, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Final
from uuid import UUID, uuid4

import orjson
from asyncpg import Record

from uaitools.memory.store.scope import Scopes
from uaitools.memory.store.statements import AGAIN, ORPHANED, marked

if TYPE_CHECKING:
    from uaitools.postgres.access import Connection

# First the locks, in the order of all: see `statements`.
_LOCK: Final = "SELECT FROM memories WHERE user_id = $1 ORDER BY id FOR UPDATE"
_LOCK_MARKS: Final = "SELECT FROM outbox WHERE user_id = $1 ORDER BY memory_id FOR UPDATE"
# Each before what it hangs on goes.
_REMOVE: Final = {
    "versions": "DELETE FROM versions WHERE user_id = $1",
    "embeddings": "DELETE FROM embeddings WHERE user_id = $1",
    "requests": "DELETE FROM requests WHERE user_id = $1",
}
_END: Final = "DELETE FROM sessions WHERE user_id = $1"
_BURY: Final = """
    WITH gone AS (DELETE FROM {0} WHERE user_id = $1 RETURNING id),
    graves AS (INSERT INTO tombstones (memory_id) SELECT id FROM gone ON CONFLICT DO NOTHING)
    SELECT count(*) FROM gone
"""
_BURIED: Final = {name: _BURY.format(name) for name in ("messages", "memories")}
# What somebody works on stays marked: he may write it to the index yet.
_UNMARK: Final = "DELETE FROM outbox WHERE user_id = $1 AND owner IS NULL"
_MARK: Final = f"UPDATE outbox SET {AGAIN} WHERE user_id = $1"
_DEPART: Final = """
    INSERT INTO departures (user_id) VALUES ($1)
    ON CONFLICT (user_id) DO UPDATE SET
        since = greatest(departures.since, now()), due = now(), attempts = 0, owner = NULL
"""
_RECEIPT: Final = """
    INSERT INTO deletions (id, subject, removed) VALUES ($1, $2, $3::text::jsonb)
    RETURNING id, requested_at, completed_at, removed, left_over
"""
_CLAIM: Final = f"""
    UPDATE departures SET due = clock_timestamp() + make_interval(secs => $2),
        owner = pg_backend_pid(), attempts = attempts + 1
    WHERE user_id IN (
        SELECT user_id FROM departures WHERE due <= clock_timestamp() OR {ORPHANED}
        ORDER BY due LIMIT $1 FOR UPDATE SKIP LOCKED
    )
    RETURNING user_id, since, due, attempts
"""
# Of what was deleted then: he may have come back since, and import memories as old as they like.
_GRAVES: Final = "(SELECT memory_id FROM tombstones WHERE deleted_at <= $2)"
_LEFT: Final = {
    "memories": f"memories WHERE user_id = $1 AND id IN {_GRAVES}",
    "versions": f"versions WHERE user_id = $1 AND memory_id IN {_GRAVES}",
    "embeddings": f"embeddings WHERE user_id = $1 AND memory_id IN {_GRAVES}",
    "requests": f"requests WHERE user_id = $1 AND memory_id IN {_GRAVES}",
    "messages": f"messages WHERE user_id = $1 AND id IN {_GRAVES}",
    # Who speaks waits until the deletion is over, and begins his session after it.
    "sessions": "sessions WHERE user_id = $1 AND created_at <= $2",
}
# What was marked by then and has gone: somebody may still write it to the index.
_UNDER_WAY: Final = """
    SELECT count(*) FROM outbox WHERE user_id = $1 AND since <= $2
        AND NOT EXISTS (SELECT FROM memories WHERE id = memory_id AND memories.user_id = $1)
"""
_AGAIN: Final = f"""
    WITH made AS (SELECT id, user_id, generation FROM memories WHERE user_id = $1)
    {marked("made")}
"""
_DONE: Final = """
    WITH over AS (DELETE FROM departures WHERE user_id = $1 AND due = $2 RETURNING since)
    UPDATE deletions SET completed_at = clock_timestamp(), left_over = $3::text::jsonb
    FROM over WHERE subject = $4 AND completed_at IS NULL AND requested_at <= over.since
"""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was removed, by kind; and what a look at each store found of it afterwards: nothing.

    completed_at: when that was seen; None while a store is still to be driven.
    """

    id: UUID
    requested_at: datetime
    completed_at: datetime | None
    removed: Mapping[str, int]
    left_over: Mapping[str, int] | None


@dataclass(frozen=True, slots=True)
class Departure:
    """A user whose entries in the index one may remove until `due`."""

    user_id: str
    since: datetime
    due: datetime
    attempts: int


class Deletions:
    """Deletions of users."""

    __slots__ = ("_scopes",)

    def __init__(self, scopes: Scopes) -> None:
        self._scopes = scopes

    def __repr__(self) -> str:
        return f"<Deletions {self._scopes!r}>"

    async def begin(self, user: str) -> Receipt:
        """Remove all rows of a user; the receipt, which is not complete yet."""
        async with self._scopes.writing(user) as connection:
            await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 17))", user)
            await connection.execute(_LOCK, user)
            removed = {name: await _count(connection, sql, user) for name, sql in _REMOVE.items()}
            for name, sql in _BURIED.items():
                removed[name] = await connection.fetchval(sql, user)
            removed["sessions"] = await _count(connection, _END, user)
            await connection.execute(_LOCK_MARKS, user)
            removed["outbox"] = await _count(connection, _UNMARK, user)
            await connection.execute(_MARK, user)
            row = await connection.fetchrow(
                _RECEIPT, uuid4(), _subject(user), orjson.dumps(removed).decode()
            )
            await connection.execute(_DEPART, user)
        assert row is not None
        return _receipt(row)

    async def receipt(self, user: str, name: UUID) -> Receipt | None:
        """The receipt of a user's deletion."""
        async with self._scopes.of(user) as connection:
            row = await connection.fetchrow(
                "SELECT id, requested_at, completed_at, removed, left_over FROM deletions"
                " WHERE id = $1 AND subject = $2",
                name,
                _subject(user),
            )
        return None if row is None else _receipt(row)

    async def claim(self, most: int, lease: float) -> list[Departure]:
        """Claim users who are to be removed from the index, for some seconds."""
        async with self._scopes.everyone() as connection:
            rows = await connection.fetch(_CLAIM, most, lease)
        return [Departure(**dict(row)) for row in rows]

    async def ghosts(self, user: str, names: Sequence[UUID]) -> list[UUID]:
        """Those of some memories that there are not."""
        async with self._scopes.of(user) as connection:
            rows = await connection.fetch(
                "SELECT name FROM unnest($2::uuid[]) AS held (name)"
                " WHERE NOT EXISTS (SELECT FROM memories WHERE user_id = $1 AND id = name)",
                user,
                names,
            )
        return [row["name"] for row in rows]

    async def complete(self, one: Departure, indexed: int) -> bool:
        """Look whether anything is left, and if not, complete the receipts. Whether that was so.

        indexed: what the index still has. What is left is removed, and looked for again the next
        time. What the user has made since is put back into the index.
        """
        of_then = (one.user_id, one.since)
        async with self._scopes.writing(one.user_id) as connection:
            left = {
                name: await connection.fetchval(f"SELECT count(*) FROM {which}", *of_then)
                for name, which in _LEFT.items()
            }
            left["outbox"] = await connection.fetchval(_UNDER_WAY, *of_then)
            left["index"] = indexed
            if any(left.values()):
                for which in _LEFT.values():
                    await connection.execute(f"DELETE FROM {which}", *of_then)
                return False
            await connection.execute(_AGAIN, one.user_id)
            said = orjson.dumps(left).decode()
            await connection.execute(_DONE, one.user_id, one.due, said, _subject(one.user_id))
        return True

    async def failed(self, one: Departure, pause: float) -> None:
        """Have it tried again after some seconds."""
        async with self._scopes.everyone() as connection:
            await connection.execute(
                "UPDATE departures SET owner = NULL,"
                " due = clock_timestamp() + make_interval(secs => $3)"
                " WHERE user_id = $1 AND due = $2",
                one.user_id,
                one.due,
                pause,
            )


async def _count(connection: Connection, statement: str, user: str) -> int:
    return int((await connection.execute(statement, user)).rsplit(" ", 1)[1])


def _receipt(row: Record) -> Receipt:
    return Receipt(**dict(row))


def _subject(user: str) -> bytes:
    return sha256(user.encode()).digest()
