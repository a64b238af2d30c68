"""What `git` told of repositories: a score of quality with its evidence, and insights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final
from uuid import UUID

from uaitools.insight.errors import UnknownRepository
from uaitools.insight.store.generations import STATE, State, state_of
from uaitools.insight.store.repositories import number_by
from uaitools.postgres.pool import Pool

_NEWEST: Final = f"""
    WITH state AS ({STATE})
    SELECT state.generation, state.as_of, state.sources, repositories.id, latest.*
    FROM state, repositories LEFT JOIN LATERAL (
        SELECT day, commit, score, version, known, checks, insights FROM analyses
        WHERE repository = number ORDER BY day DESC LIMIT 1) AS latest ON true
    WHERE number = {{number}}
"""


@dataclass(frozen=True, slots=True)
class Analysed:
    """The newest analysis of a repository; None in place of what is unknown.

    day: of which it is. commit: that was analysed. score: 0 to 100. version: of the checks. known:
    the part of them that is known, 0 to 1. checks, insights: JSON, as `quality.Check` and
    `analysis.Insight` have them, in their order.
    """

    id: UUID
    state: State
    day: date
    commit: str | None
    score: float | None
    version: int
    known: float
    checks: Sequence[Mapping[str, Any]]
    insights: Sequence[Mapping[str, Any]]


class Analyses:
    """Analyses of repositories."""

    __slots__ = ("_pool",)

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def __repr__(self) -> str:
        return f"<Analyses {self._pool!r}>"

    async def newest(self, which: str) -> Analysed | None:
        """That of a repository, by id or name; None if there is none. Raises UnknownRepository."""
        number, value = number_by(which)
        async with self._pool.acquire() as connection:
            row = await connection.fetchrow(_NEWEST.format(number=number), value)
        if row is None:
            raise UnknownRepository
        if row["day"] is None:
            return None
        told = {name: row[name] for name in _TOLD}
        return Analysed(row["id"], state_of(row), **told)


_TOLD: Final = ("day", "commit", "score", "version", "known", "checks", "insights")
