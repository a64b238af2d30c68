"""Which memories the index is yet to follow: a set in the database, written with the rows.

A claim lasts for a while. Who holds one makes the index what the row is, and then gives it back
with `done`; if the row was marked again meanwhile, or somebody else has the claim by now, the mark
stays or is made again: what was written late is looked at once more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from uaitools.memory.store.scope import Scopes

LEASE: Final = 60.0  # seconds

_CLAIM: Final = """
    UPDATE outbox SET due = clock_timestamp() + make_interval(secs => $2), attempts = attempts + 1
    WHERE memory_id IN (
        SELECT memory_id FROM outbox WHERE due <= clock_timestamp()
        ORDER BY due LIMIT $1 FOR UPDATE SKIP LOCKED
    )
    RETURNING memory_id, user_id, generation, attempts, due
"""
_DONE: Final = """
    WITH claimed AS (
        SELECT * FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::timestamptz[])
            AS claimed (memory_id, user_id, generation, due)
    ),
    over AS (
        DELETE FROM outbox USING claimed
        WHERE outbox.memory_id = claimed.memory_id AND outbox.due = claimed.due
        RETURNING outbox.memory_id
    )
    INSERT INTO outbox (memory_id, user_id, generation)
    SELECT memory_id, user_id, generation FROM claimed
    WHERE memory_id NOT IN (SELECT memory_id FROM over)
        AND memory_id NOT IN (SELECT memory_id FROM outbox)
    ON CONFLICT DO NOTHING
"""
_FAILED: Final = """
    UPDATE outbox SET due = clock_timestamp() + make_interval(secs => $3)
    FROM unnest($1::uuid[], $2::timestamptz[]) AS claimed (memory_id, due)
    WHERE outbox.memory_id = claimed.memory_id AND outbox.due = claimed.due
"""
_MARK: Final = """
    INSERT INTO outbox (memory_id, user_id, generation)
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::bigint[])
    ON CONFLICT (memory_id) DO UPDATE SET due = clock_timestamp(), attempts = 0
"""
# What another embedder made, or none yet, and is not marked.
_OTHERS: Final = """
    INSERT INTO outbox (memory_id, user_id, generation)
    SELECT memories.id, memories.user_id, memories.generation FROM memories
    LEFT JOIN embeddings ON embeddings.memory_id = memories.id AND embeddings.model = $1
    LEFT JOIN outbox ON outbox.memory_id = memories.id
    WHERE embeddings.memory_id IS NULL AND outbox.memory_id IS NULL
    LIMIT $2
    ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class Claim:
    """A memory that one may work on until `due`. attempts: this one included."""

    memory_id: UUID
    user_id: str
    generation: int
    attempts: int
    due: datetime


@dataclass(frozen=True, slots=True)
class Backlog:
    """How much is marked, and for how many seconds the oldest has been."""

    size: int
    age: float


class Outbox:
    """The set."""

    __slots__ = ("_scopes",)

    def __init__(self, scopes: Scopes) -> None:
        self._scopes = scopes

    def __repr__(self) -> str:
        return f"<Outbox {self._scopes!r}>"

    async def claim(self, most: int, lease: float = LEASE) -> list[Claim]:
        """Claim marked memories that nobody works on, the oldest ones first."""
        async with self._scopes.everyone() as connection:
            rows = await connection.fetch(_CLAIM, most, lease)
        return [Claim(**dict(row)) for row in rows]

    async def done(self, claims: Sequence[Claim]) -> None:
        """Take back the marks of what is done, unless there are newer ones."""
        columns = _columns(claims, "memory_id", "user_id", "generation", "due")
        async with self._scopes.everyone() as connection:
            await connection.execute(_DONE, *columns)

    async def failed(self, claims: Sequence[Claim], pause: float) -> None:
        """Have what could not be done tried again after some seconds."""
        async with self._scopes.everyone() as connection:
            await connection.execute(_FAILED, *_columns(claims, "memory_id", "due"), pause)

    async def mark(self, entries: Sequence[tuple[UUID, str, int]]) -> None:
        """Mark memories, whether or not they are there: id, user and generation of each."""
        columns = [list(column) for column in zip(*entries, strict=True)] or [[], [], []]
        async with self._scopes.everyone() as connection:
            await connection.execute(_MARK, *columns)

    async def mark_others(self, model: str, most: int) -> int:
        """Mark some memories that have no vector of a model; how many."""
        async with self._scopes.everyone() as connection:
            status = await connection.execute(_OTHERS, model, most)
        return int(status.rsplit(" ", 1)[1])

    async def backlog(self) -> Backlog:
        """How far the index is behind."""
        async with self._scopes.everyone() as connection:
            row = await connection.fetchrow(
                "SELECT count(*) AS size,"
                " coalesce(extract(epoch FROM now() - min(since)), 0) AS age FROM outbox"
            )
        assert row is not None
        return Backlog(row["size"], float(row["age"]))


def _columns(claims: Sequence[Claim], *names: str) -> list[list[Any]]:
    return [[getattr(one, name) for one in claims] for name in names]
