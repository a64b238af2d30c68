"""Which known days bound the window of a trend, and the time before it.

The end is the last known day in the window. The beginning is the known day nearest to the window's
own beginning, of two the earlier one; it may lie up to half a window before it. The earlier time
goes from the first known day, in as many days as the window looks back, to the beginning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from uaitools.insight.trending.formula import Floats
from uaitools.insight.trending.histories import Histories, Ints
from uaitools.insight.trending.window import Window

Bools = NDArray[np.bool_]

NONE: Final = -1
"""No row."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Rows of histories, an entry a repository, NONE where there is none.

    earlier, begin, end: of the three days. Where one is missing, those before it are. last: the
    last day on which the source had the repository at all.
    """

    earlier: Ints
    begin: Ints
    end: Ints
    last: Ints


def bounds(rows: Histories, repositories: int, as_of: int, window: Window) -> Bounds:
    """Of repositories 0 to `repositories` - 1; rows as `ordered` makes them. as_of: by number."""
    whose, day = rows.repository, rows.day
    known = ~np.isnan(rows.stars)
    opening = as_of - window.days

    def last(chosen: Bools) -> Ints:
        found = np.full(repositories, NONE, np.int64)
        at = np.flatnonzero(chosen)
        found[whose[at]] = at  # of several rows of a repository the last stays
        return found

    def first(chosen: Bools) -> Ints:
        found = np.full(repositories, NONE, np.int64)
        at = np.flatnonzero(chosen)[::-1]
        found[whose[at]] = at
        return found

    end = last(known & (day > opening) & (day <= as_of))
    sooner = known & (day < values(day, end)[whose])
    before = last(sooner & (day >= opening - window.slack) & (day <= opening))
    after = first(sooner & (day > opening))
    near = opening - values(day, before, -np.inf) <= values(day, after, np.inf) - opening
    begin = np.where(near, before, after)
    begins = values(day, begin)[whose]
    earlier = first(known & (day >= begins - window.earlier) & (day < begins))
    return Bounds(earlier, begin, end, last(day <= as_of))


def values(column: Floats | Ints, rows: Ints, otherwise: float = np.nan) -> Floats:
    """A column's values at rows; `otherwise` where there is no row."""
    found = np.full(len(rows), otherwise, np.float64)
    there = rows != NONE
    found[there] = column[rows[there]]
    return found
