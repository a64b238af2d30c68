"""Which memories the index is yet to follow: a set in the database, written with the rows.

Who holds a claim makes the index what the row is, and then gives it back with `done`. Nobody else
works on that memory meanwhile; if it was marked again, it is looked at once more afterwards. A
claim ends with the session that has made it, so that what a dead process had is taken up at once;
where that cannot be seen, because a pooler keeps sessions, it lasts for a while. Who comes back
after that has the memory looked at once more: what they wrote may have come late.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from uaitools.memory.model import Named
from uaitools.memory.store.scope import Scopes
from uaitools.memory.store.statements import AGAIN, NAMED, claiming, count_of, marked, pairs

LEASE: Final = 60.0  # seconds

_CLAIM: Final = claiming(
    "outbox", "user_id, memory_id", "memory_id, user_id, marks, attempts, due", order="turn"
)
# A claim is known by its end. newest: nobody has marked the memory since.
_BACK: Final = """
    WITH claimed AS (
        SELECT * FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::timestamptz[])
            AS claimed (user_id, memory_id, marks, due)
    ),
    mine AS (
        SELECT user_id, memory_id, outbox.marks = claimed.marks AS newest
        FROM outbox JOIN claimed USING (user_id, memory_id, due)
        ORDER BY user_id, memory_id FOR UPDATE OF outbox
    ),
    {}
    INSERT INTO outbox (user_id, memory_id)
    SELECT user_id, memory_id FROM claimed
    WHERE (user_id, memory_id) NOT IN (SELECT user_id, memory_id FROM mine)
    ORDER BY user_id, memory_id
    ON CONFLICT (user_id, memory_id) DO UPDATE SET {}
"""
_SAME: Final = "outbox.user_id = mine.user_id AND outbox.memory_id = mine.memory_id"
_DONE: Final = _BACK.format(
    f"""
    over AS (DELETE FROM outbox USING mine WHERE {_SAME} AND newest),
    again AS (
        UPDATE outbox SET due = clock_timestamp(), owner = NULL FROM mine
        WHERE {_SAME} AND NOT newest
    )
    """,
    AGAIN,
)
_FAILED: Final = _BACK.format(
    f"""
    later AS (
        UPDATE outbox SET owner = NULL,
            due = clock_timestamp() + make_interval(secs => CASE WHEN newest THEN $5 ELSE 0 END)
        FROM mine WHERE {_SAME}
    )
    """,
    AGAIN,
)
_MARK: Final = marked(NAMED)
# What another embedder made, or none yet, and is not marked. Asked row by row: a join that was
# planned before the tables were analysed took four minutes for 100,000 memories.
_OTHERS: Final = marked("""
    (
        SELECT user_id, id FROM memories
        WHERE $1 IS DISTINCT FROM (
                SELECT model FROM embeddings
                WHERE embeddings.user_id = memories.user_id AND memory_id = id
            )
            AND (
                SELECT marks FROM outbox WHERE outbox.user_id = memories.user_id AND memory_id = id
            ) IS NULL
        LIMIT $2
    ) AS others
""")
_LATE: Final = """
    SELECT EXISTS (
        SELECT FROM outbox WHERE user_id = $1 AND since < now() - make_interval(secs => $2)
    )
"""


@dataclass(frozen=True, slots=True)
class Claim:
    """A memory that one may work on until `due`. attempts: this one included."""

    memory_id: UUID
    user_id: str
    marks: int
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
        """Claim marked memories that nobody works on, by their turns."""
        async with self._scopes.everyone() as connection:
            rows = await connection.fetch(_CLAIM, most, lease)
        return [Claim(**dict(row)) for row in rows]

    async def done(self, claims: Sequence[Claim]) -> None:
        """Take back the marks of what is done, unless there are newer ones."""
        async with self._scopes.everyone() as connection:
            await connection.execute(_DONE, *_columns(claims))

    async def failed(self, claims: Sequence[Claim], pause: float) -> None:
        """Have what could not be done tried again after some seconds."""
        async with self._scopes.everyone() as connection:
            await connection.execute(_FAILED, *_columns(claims), pause)

    async def mark(self, names: Sequence[Named]) -> None:
        """Mark memories, whether or not they are there."""
        async with self._scopes.everyone() as connection:
            await connection.execute(_MARK, *pairs(names))

    async def mark_others(self, model: str, most: int) -> int:
        """Mark some memories that have no vector of a model; how many."""
        async with self._scopes.everyone() as connection:
            return count_of(await connection.execute(_OTHERS, model, most))

    async def late(self, user: str, age: float) -> bool:
        """Whether any of a user's has been marked for more than so many seconds."""
        async with self._scopes.of(user) as connection:
            found: bool = await connection.fetchval(_LATE, user, age)
        return found

    async def backlog(self) -> Backlog:
        """How far the index is behind."""
        async with self._scopes.everyone() as connection:
            row = await connection.fetchrow(
                "SELECT count(*) AS size,"
                " coalesce(extract(epoch FROM now() - min(since)), 0) AS age FROM outbox"
            )
        assert row is not None
        return Backlog(row["size"], float(row["age"]))


def _columns(claims: Sequence[Claim]) -> list[list[Any]]:
    """As _BACK takes them."""
    names = ("user_id", "memory_id", "marks", "due")
    return [[getattr(one, name) for one in claims] for name in names]
