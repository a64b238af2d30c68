"""What the database says of entries of an index."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Final, Literal
from uuid import UUID

from uaitools.memory.store.scope import Scopes

if TYPE_CHECKING:
    from uaitools.memory.index.port import Held

PAGE: Final = 1000
_OF_INDEX: Final = """
    SELECT CASE WHEN memories.id IS NULL THEN 'ghost' ELSE 'stale' END AS fault,
        held.id, held.user_id
    FROM unnest($1::uuid[], $2::text[], $3::bigint[]) AS held (id, user_id, generation)
    LEFT JOIN memories ON memories.user_id = held.user_id AND memories.id = held.id
    LEFT JOIN outbox ON outbox.user_id = held.user_id AND outbox.memory_id = held.id
    WHERE outbox.memory_id IS NULL
        AND (memories.id IS NULL OR memories.generation <> held.generation)
"""
_UNMARKED: Final = """
    SELECT id FROM memories WHERE user_id = $1 AND id = ANY($2::uuid[])
        AND NOT EXISTS (SELECT FROM outbox WHERE user_id = $1 AND memory_id = id)
"""


class Differences:
    """Looks entries up."""

    __slots__ = ("_scopes",)

    def __init__(self, scopes: Scopes) -> None:
        self._scopes = scopes

    def __repr__(self) -> str:
        return f"<Differences {self._scopes!r}>"

    async def of_index(
        self, held: Sequence[Held]
    ) -> list[tuple[Literal["ghost", "stale"], UUID, str]]:
        """Entries that are of no memory, or of an older generation of one, and are not marked."""
        columns = [[getattr(one, name) for one in held] for name in ("id", "user", "generation")]
        async with self._scopes.everyone() as connection:
            rows = await connection.fetch(_OF_INDEX, *columns)
        return [(row["fault"], row["id"], row["user_id"]) for row in rows]

    async def users(self) -> AsyncIterator[str]:
        """Everyone who has a memory."""
        after = ""
        while True:
            async with self._scopes.everyone() as connection:
                user = await connection.fetchval(
                    "SELECT user_id FROM memories WHERE user_id > $1 ORDER BY user_id LIMIT 1",
                    after,
                )
            if user is None:
                return
            yield user
            after = user

    async def rows(self, user: str) -> AsyncIterator[list[UUID]]:
        """The memories of a user, in pages."""
        after = UUID(int=0)
        while True:
            async with self._scopes.of(user) as connection:
                rows = await connection.fetch(
                    "SELECT id FROM memories WHERE user_id = $1 AND id > $2 ORDER BY id LIMIT $3",
                    user,
                    after,
                    PAGE,
                )
            if not rows:
                return
            yield [row["id"] for row in rows]
            after = rows[-1]["id"]

    async def unmarked(self, user: str, names: Sequence[UUID]) -> list[UUID]:
        """Those of some memories that are there, and are not marked."""
        if not names:
            return []
        async with self._scopes.everyone() as connection:
            rows = await connection.fetch(_UNMARKED, user, names)
        return [row["id"] for row in rows]
