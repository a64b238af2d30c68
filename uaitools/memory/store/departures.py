"""Users who have gone, and whose entries in the index are yet to go: a queue in the database.

The transaction that removes their rows adds them, see `deletions`. One claims a user as `outbox`
has it with memories, removes what the index has, and completes the receipts when a look at each
store finds nothing any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final
from uuid import UUID

import orjson

from uaitools.memory.store.scope import Scopes
from uaitools.memory.store.statements import claiming, marked

_CLAIM: Final = claiming("departures", "user_id", "user_id, since, due, attempts")
# Of what was deleted then: the user may have come back, and import memories of any age.
_GRAVES: Final = """EXISTS (
    SELECT FROM tombstones WHERE grave = grave(user_id, {}::text) AND deleted_at <= $2
)"""
_IDS: Final = {
    **dict.fromkeys(("memories", "messages"), "id"),
    **dict.fromkeys(("versions", "embeddings", "idempotency_keys"), "memory_id"),
}
_LEFT: Final = {
    **{name: f"{name} WHERE user_id = $1 AND {_GRAVES.format(one)}" for name, one in _IDS.items()},
    # Who speaks waits until the deletion is over, and begins a session after it.
    "sessions": "sessions WHERE user_id = $1 AND created_at <= $2",
}
# What was marked by then and has gone: somebody may still write it to the index.
_UNDER_WAY: Final = """
    SELECT count(*) FROM outbox WHERE user_id = $1 AND since <= $2
        AND NOT EXISTS (SELECT FROM memories WHERE memories.user_id = $1 AND id = memory_id)
"""
_AGAIN: Final = f"""
    WITH made AS (SELECT id, user_id FROM memories WHERE user_id = $1)
    {marked("made")}
"""
# Whoever completes it has told the cache.
_PAID: Final = "DELETE FROM debts WHERE user_id = $1 AND since <= $2"
_DONE: Final = """
    WITH over AS (DELETE FROM departures WHERE user_id = $1 AND due = $2 RETURNING since)
    UPDATE deletions SET completed_at = clock_timestamp(), left_over = $3::text::jsonb
    FROM over WHERE subject = $4 AND completed_at IS NULL AND requested_at <= over.since
"""


@dataclass(frozen=True, slots=True)
class Departure:
    """A user whose entries in the index one may remove until `due`."""

    user_id: str
    since: datetime
    due: datetime
    attempts: int


class Departures:
    """The queue."""

    __slots__ = ("_scopes",)

    def __init__(self, scopes: Scopes) -> None:
        self._scopes = scopes

    def __repr__(self) -> str:
        return f"<Departures {self._scopes!r}>"

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
            await connection.execute(_PAID, *of_then)
            await connection.execute(_AGAIN, one.user_id)
            said = orjson.dumps(left).decode()
            await connection.execute(_DONE, one.user_id, one.due, said, subject(one.user_id))
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


def subject(user: str) -> bytes:
    """What receipts know a user by."""
    return sha256(user.encode()).digest()
