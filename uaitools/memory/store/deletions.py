"""A user goes: all of their rows in one transaction, and a receipt of what that was.

Rows, their history and vectors go at once, and tombstones keep their ids from coming back, and
their keys from making anything anew. What an index has of the user is left to `departures`, which
the transaction adds to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID, uuid4

import orjson
from asyncpg import Record

from uaitools.memory.store.departures import Departures, subject
from uaitools.memory.store.scope import Scopes
from uaitools.memory.store.statements import AGAIN, USER_LOCK, buried_unmarked, count_of

LONGEST: Final = 600.0  # seconds: all of it goes in one transaction, however much it is

# First the locks, in the order of all: see `statements`. Whoever speaks shares the first one.
_WAIT: Final = f"SELECT pg_advisory_xact_lock(hashtextextended($1, {USER_LOCK}))"
_LOCK: Final = "SELECT FROM memories WHERE user_id = $1 ORDER BY id FOR UPDATE"
_LOCK_MARKS: Final = "SELECT FROM outbox WHERE user_id = $1 ORDER BY memory_id FOR UPDATE"
# Each before what it hangs on goes.
_REMOVE: Final = {
    "versions": "DELETE FROM versions WHERE user_id = $1",
    "embeddings": "DELETE FROM embeddings WHERE user_id = $1",
}
_END: Final = "DELETE FROM sessions WHERE user_id = $1"
BURY_KEYS: Final = """
    WITH gone AS (DELETE FROM idempotency_keys WHERE user_id = $1 RETURNING user_id, key, at),
    graves AS (
        INSERT INTO buried_keys (grave, at) SELECT grave(user_id, key), at FROM gone
        ON CONFLICT DO NOTHING
    )
    SELECT count(*) FROM gone
"""
_BURY: Final = {
    "idempotency_keys": BURY_KEYS,
    **{name: buried_unmarked(name, "user_id = $1") for name in ("messages", "memories")},
}
# What somebody works on stays marked: they may write it to the index yet.
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


class Deletions:
    """Deletions of users. departures: what is left to do of them."""

    __slots__ = ("_scopes", "departures")

    def __init__(self, scopes: Scopes) -> None:
        self._scopes = scopes
        self.departures = Departures(scopes)

    def __repr__(self) -> str:
        return f"<Deletions {self._scopes!r}>"

    async def begin(self, user: str) -> Receipt:
        """Remove all rows of a user; the receipt, which is not complete yet."""
        async with self._scopes.sweeping(user, limit=LONGEST) as connection:
            await connection.execute(_WAIT, user)
            await connection.execute(_LOCK, user)
            removed = {
                name: count_of(await connection.execute(sql, user)) for name, sql in _REMOVE.items()
            }
            for name, sql in _BURY.items():
                removed[name] = await connection.fetchval(sql, user)
            removed["sessions"] = count_of(await connection.execute(_END, user))
            await connection.execute(_LOCK_MARKS, user)
            removed["outbox"] = count_of(await connection.execute(_UNMARK, user))
            await connection.execute(_MARK, user)
            row = await connection.fetchrow(
                _RECEIPT, uuid4(), subject(user), orjson.dumps(removed).decode()
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
                subject(user),
            )
        return None if row is None else _receipt(row)


def _receipt(row: Record) -> Receipt:
    return Receipt(**dict(row))
