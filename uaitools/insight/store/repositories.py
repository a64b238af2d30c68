"""One repository, by its id or by a name that it has or had."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from uuid import UUID

from uaitools.insight.errors import UnknownRepository
from uaitools.insight.store.generations import STATE, State
from uaitools.insight.store.shown import TABLES, columns, tenths
from uaitools.insight.terms import folded
from uaitools.postgres.pool import Pool

_SUMMARY: Final = f"""
    WITH state AS ({STATE})
    SELECT {columns()}, standings.updated AS last_updated, analysis_status, analysed_at,
        insight_count, quality, state.generation, state.as_of AS newest, state.sources
    FROM state, {TABLES}
    WHERE repositories.number = {{number}}
"""
_BY_ID: Final = "(SELECT number FROM repositories WHERE id = $1)"
_BY_NAME: Final = "(SELECT repository FROM names WHERE names.name = $1)"


@dataclass(frozen=True, slots=True)
class Summary:
    """A repository. What the source does not say is None.

    trending_score: of the week, 0 to 10. quality: 0 to 100. as_of: the day of the counts, earlier
    than that of the state where the source no longer tells of it; None if it never did. source:
    who told of them, or `git`.
    """

    id: UUID
    name: str
    full_name: str
    description: str
    language: str | None
    stars: int | None
    forks: int | None
    last_updated: datetime | None
    analysis_status: str
    analysed_at: datetime | None
    insight_count: int
    quality: float | None
    trending_score: float | None
    as_of: date | None
    source: str
    state: State


class Repositories:
    """Repositories one by one."""

    __slots__ = ("_pool",)

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def __repr__(self) -> str:
        return f"<Repositories {self._pool!r}>"

    async def summary(self, which: str) -> Summary:
        """A repository. which: its id, or owner/name. Raises UnknownRepository."""
        number, value = number_by(which)
        async with self._pool.acquire() as connection:
            row = await connection.fetchrow(_SUMMARY.format(number=number), value)
        if row is None:
            raise UnknownRepository
        told = dict(row)
        state = State(*(told.pop(name) for name in ("generation", "newest", "sources")))
        told["trending_score"] = tenths(told["trending_score"])
        return Summary(**told, state=state)


def number_by(which: str) -> tuple[str, UUID | str]:
    """An expression for the number of a repository, and its parameter $1.

    which: an id, or owner/name. Raises UnknownRepository for what can be neither.
    """
    try:
        return _BY_ID, UUID(which)
    except ValueError:
        name = folded(which)
    if not name.isascii() or not name.isprintable():
        raise UnknownRepository
    return _BY_NAME, name
