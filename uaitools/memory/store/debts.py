"""Copies that may be old: written by the database with each change, until somebody forgot them.

See migrations/0003_outbox.sql, which has triggers for that. Who commits a change owes this to all
who read copies. Whoever has had the copies forgotten takes the debt away, and it does not matter
how many do the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from uaitools.memory.store.scope import Scopes

# Several may do it at a time, and wait for nobody.
_PAID: Final = """
    DELETE FROM debts WHERE id IN (
        SELECT id FROM debts WHERE id = ANY($1::bigint[]) FOR UPDATE SKIP LOCKED
    )
"""


@dataclass(frozen=True, slots=True)
class Debt:
    """A memory whose copy may be old; of a user all, where it is None."""

    id: int
    user_id: str
    memory_id: UUID | None


class Debts:
    """Of all users."""

    __slots__ = ("_scopes",)

    def __init__(self, scopes: Scopes) -> None:
        self._scopes = scopes

    def __repr__(self) -> str:
        return f"<Debts {self._scopes!r}>"

    async def owed(self, most: int) -> list[Debt]:
        """Some of them; all, if these are fewer than `most`."""
        async with self._scopes.everyone() as connection:
            rows = await connection.fetch("SELECT id, user_id, memory_id FROM debts LIMIT $1", most)
        return [Debt(**dict(row)) for row in rows]

    async def paid(self, debts: Sequence[Debt]) -> None:
        """Take some away."""
        async with self._scopes.everyone() as connection:
            await connection.execute(_PAID, [one.id for one in debts])

    async def write_off(self, age: timedelta) -> None:
        """Take away what is older than any copy."""
        async with self._scopes.everyone() as connection:
            await connection.execute("DELETE FROM debts WHERE since < now() - $1::interval", age)
