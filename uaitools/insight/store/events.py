"""What the analysing service has reported, in an order that a stream can go on from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from uaitools.insight.errors import SERVICE, UnknownRepository
from uaitools.insight.store.repositories import number_by
from uaitools.postgres.notices import say
from uaitools.postgres.pool import Pool

if TYPE_CHECKING:
    from uaitools.postgres.access import Connection

CHANNEL: Final = "event"
"""Where the number of a new event is told, when all can read it."""

_STATUS: Final = {
    "analysis_started": "running",
    "analysis_completed": "completed",
    "analysis_failed": "failed",
}
_MOST: Final = 1_000_000  # insights that are believed
_FIND: Final = "SELECT {number}"
_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended('uaitools insight event', 0))"
# Numbers are given under the lock, so that none is seen before a smaller one.
_ADD: Final = """
    INSERT INTO events (number, id, type, repository, at, data)
    SELECT (SELECT coalesce(max(number), 0) + 1 FROM events), $1, $2, $3, $4, $5
    ON CONFLICT (id) DO NOTHING RETURNING number
"""
_STANDS: Final = """
    UPDATE repositories SET analysis_status = $2, insight_count = insight_count + $3,
        analysed_at = CASE WHEN $2 = 'completed' THEN $4 ELSE analysed_at END
    WHERE number = $1
"""
_SINCE: Final = """
    SELECT events.number, events.id, type, repositories.id AS repository_id, at, data
    FROM events LEFT JOIN repositories ON repositories.number = repository
    WHERE events.number > $2 AND ($1::integer IS NULL OR repository = $1)
    ORDER BY events.number LIMIT $3
"""


@dataclass(frozen=True, slots=True)
class Event:
    """number: from 1, without gaps. id: the reporter's. repository_id: None for those of none."""

    number: int
    id: UUID
    type: str
    repository_id: UUID | None
    at: datetime
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Report:
    """What is reported. repository: its id or name; None for what is of none. data: JSON.

    Of `analysis_completed` the number `insights_added` is added to those of the repository; this
    type, `analysis_started` and `analysis_failed` are its analysis_status from now on.
    """

    id: UUID
    type: str
    repository: str | None
    at: datetime
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Recorded:
    """The number of an event. new: whether it was not there before."""

    number: int
    new: bool


class Events:
    """Events of repositories."""

    __slots__ = ("_pool",)

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def __repr__(self) -> str:
        return f"<Events {self._pool!r}>"

    async def record(self, report: Report) -> Recorded:
        """Add an event, once however often it is sent. Raises UnknownRepository."""
        async with self._pool.acquire() as connection, connection.transaction():
            return await add(connection, report)

    async def since(
        self, number: int, limit: int, *, repository: str | None = None
    ) -> Sequence[Event]:
        """The next events after a number, at most `limit`. Raises UnknownRepository."""
        async with self._pool.acquire() as connection:
            which = await _number(connection, repository)
            rows = await connection.fetch(_SINCE, which, number, limit)
        return [Event(**dict(row)) for row in rows]

    async def newest(self) -> int:
        """The number of the newest event, 0 if there is none."""
        async with self._pool.acquire() as connection:
            number: int = await connection.fetchval("SELECT coalesce(max(number), 0) FROM events")
        return number


async def add(connection: Connection, report: Report) -> Recorded:
    """Add an event in a transaction that ends soon: others wait. Raises UnknownRepository."""
    which = await _number(connection, report.repository)
    await connection.execute(_LOCK)
    added = await connection.fetchval(
        _ADD, report.id, report.type, which, report.at, dict(report.data)
    )
    if added is None:
        known = "SELECT number FROM events WHERE id = $1"
        return Recorded(await connection.fetchval(known, report.id), new=False)
    if which is not None and (status := _STATUS.get(report.type)):
        more = report.data.get("insights_added", 0) if status == "completed" else 0
        count = more if isinstance(more, int) and 0 < more < _MOST else 0
        await connection.execute(_STANDS, which, status, count, report.at)
    await say(connection, SERVICE, CHANNEL, str(added))
    return Recorded(added, new=True)


async def _number(connection: Connection, which: str | None) -> int | None:
    """Raises UnknownRepository."""
    if which is None:
        return None
    number, value = number_by(which)
    found: int | None = await connection.fetchval(_FIND.format(number=number), value)
    if found is None:
        raise UnknownRepository
    return found
