"""The trends of all repositories as of a day, and the best of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from uaitools.insight.store.days import DAYS, since
from uaitools.insight.store.histories import ROWS, Part, members, snapshots
from uaitools.insight.trending.formula import Floats
from uaitools.insight.trending.histories import Ints
from uaitools.insight.trending.trend import Trend, Trends, trends
from uaitools.insight.trending.window import Window

if TYPE_CHECKING:
    from uaitools.insight.trending.bounds import Bools
    from uaitools.postgres.access import Connection

_AT_ONCE: Final = 50_000  # repositories, 4 windows each: 50 MB
_TERM_BY_TERM: Final = 5_000  # likewise, as objects: 40 MB
_SOURCES: Final = "SELECT DISTINCT source FROM files WHERE day <= $1 ORDER BY source"
_OF_SOURCE: Final = f"{DAYS} $1 AND $2 AND source = $3"


@dataclass(frozen=True, slots=True)
class Scored:
    """Repositories of one source: an entry each. of: their trends by window."""

    numbers: Ints
    languages: Ints
    of: Mapping[Window, Trends]


@dataclass(frozen=True, slots=True)
class Contenders:
    """Those of one window that may stand on a board. stars: at its end."""

    numbers: Ints
    languages: Ints
    scores: Floats
    stars: Floats
    flagged: Bools

    def __repr__(self) -> str:
        return f"<Contenders {len(self.numbers)}>"


NOBODY: Final = Contenders(
    *(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0), np.zeros(0)), np.zeros(0, np.bool_)
)


class Trending:
    """Trends as of a day, of what a transaction sees. windows: those that are asked for."""

    def __init__(self, connection: Connection, as_of: date, windows: Sequence[Window]) -> None:
        self._connection = connection
        self._as_of = as_of
        self._windows = windows
        self._since = min(since(as_of, window) for window in windows)

    def __repr__(self) -> str:
        return f"<Trending {self._as_of} {' '.join(self._windows)}>"

    async def all(self) -> AsyncIterator[Scored]:
        """Those of all repositories, in parts that fit into memory."""
        for row in await self._connection.fetch(_SOURCES, self._as_of):
            numbers, languages = await members(self._connection, row["source"])
            async for some in self._parts(row["source"], numbers, languages, _AT_ONCE):
                yield some

    async def of(self, numbers: Ints) -> AsyncIterator[Scored]:
        """Those of some repositories, in parts so small that each may be taken term by term."""
        for row in await self._connection.fetch(_SOURCES, self._as_of):
            all_numbers, languages = await members(self._connection, row["source"])
            own = np.isin(all_numbers, numbers)
            async for some in self._parts(
                row["source"], all_numbers[own], languages[own], _TERM_BY_TERM
            ):
                yield some

    async def _parts(
        self, source: str, numbers: Ints, languages: Ints, most: int
    ) -> AsyncIterator[Scored]:
        days = await self._connection.fetchval(_OF_SOURCE, self._since, self._as_of, source)
        size = max(1, min(most, ROWS // max(1, len(days))))
        for at in range(0, len(numbers), size):
            some = numbers[at : at + size]
            part = await snapshots(self._connection, some, self._since, self._as_of)
            found = {one: self._trends(part, one, days) for one in self._windows}
            yield Scored(some, languages[at : at + size], found)

    def _trends(self, part: Part, window: Window, days: Sequence[date]) -> Trends:
        return trends(
            part.histories,
            len(part.numbers),
            as_of=self._as_of,
            window=window,
            source_days=days,
            renamed=part.renamed,
        )


def contenders(before: Contenders, scored: Scored, window: Window, most: int) -> Contenders:
    """Who of those before and of these may be among the best, of all or of a language.

    most: how many are asked for, with flagged ones and without. Those even with the last one stay.
    """
    found = scored.of[window]
    both = Contenders(
        np.concatenate((before.numbers, scored.numbers)),
        np.concatenate((before.languages, scored.languages)),
        np.concatenate((before.scores, found.score)),
        np.concatenate((before.stars, found.counts.stars + found.counts.gain)),
        np.concatenate((before.flagged, found.flagged)),
    )
    known = np.flatnonzero(~np.isnan(both.scores))
    clean = known[~both.flagged[known]]
    everywhere = np.zeros(len(both.numbers), np.int64)
    best = [
        _best(both, rows, groups, most)
        for rows in (known, clean)
        for groups in (everywhere, both.languages)
    ]
    return taken(both, np.unique(np.concatenate(best)))


def taken(some: Contenders, rows: Ints) -> Contenders:
    """Those in some rows."""
    return Contenders(
        some.numbers[rows],
        some.languages[rows],
        some.scores[rows],
        some.stars[rows],
        some.flagged[rows],
    )


def _best(some: Contenders, rows: Ints, groups: Ints, most: int) -> Ints:
    """The rows of the best of each group, with all that are even with the last of them."""
    group, score, stars = groups[rows], some.scores[rows], some.stars[rows]
    order = np.lexsort((-stars, -score, group))
    group, score, stars = group[order], score[order], stars[order]
    begin = np.searchsorted(group, group)
    last = np.minimum(begin + most - 1, np.searchsorted(group, group, side="right") - 1)
    even = (score == score[last]) & (stars == stars[last])
    found: Ints = rows[order[(np.arange(len(order)) - begin < most) | even]]
    return found


def told(trend: Trend) -> Mapping[str, Any]:
    """A trend's terms, as JSON."""
    terms = asdict(trend)
    terms["flags"] = list(trend.flags)
    for name in ("as_of", "begin", "end"):
        day: date | None = terms[name]
        terms[name] = None if day is None else day.isoformat()
    return terms
