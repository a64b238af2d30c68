"""What the index of a database is, and whose vectors are in it: all processes have the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from uaitools.memory.store.scope import Scopes

_READ: Final = "SELECT kind, model FROM indexing"
_WRITE: Final = """
    INSERT INTO indexing (kind, model) VALUES ($1, $2)
    ON CONFLICT (one) DO UPDATE SET kind = $1, model = $2
"""
_CLEAR: Final = """
    DO $$
    BEGIN
        IF to_regclass('memory_vectors') IS NOT NULL THEN
            DELETE FROM memory_vectors;
        END IF;
    END
    $$
"""


@dataclass(frozen=True, slots=True)
class IndexedBy:
    """kind: of the index. model: of the embedder whose vectors are in it."""

    kind: str
    model: str


class Indexing:
    """The record of it, written by each service that starts."""

    __slots__ = ("_scopes",)

    def __init__(self, scopes: Scopes) -> None:
        self._scopes = scopes

    def __repr__(self) -> str:
        return f"<Indexing {self._scopes!r}>"

    async def current(self) -> IndexedBy | None:
        """What the last service that started has; None before the first."""
        async with self._scopes.everyone() as connection:
            row = await connection.fetchrow(_READ)
        return None if row is None else IndexedBy(row["kind"], row["model"])

    async def record(self, own: IndexedBy) -> None:
        """Say what it is from now on. Vectors that pgvector leaves behind are removed."""
        async with self._scopes.everyone() as connection, connection.transaction():
            if own.kind != "pgvector":
                await connection.execute(_CLEAR)
            await connection.execute(_WRITE, own.kind, own.model)
