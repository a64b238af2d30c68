"""Which days the data is of, and what is missing between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from uaitools.insight.trending.trend import trend
from uaitools.insight.trending.window import Window

DAYS: Final = "SELECT coalesce(array_agg(DISTINCT day), '{}') FROM files WHERE day BETWEEN"
"""The days of data between two; a day that is missing is a gap."""


@dataclass(frozen=True, slots=True)
class Span:
    """What is known of a window of time.

    begin, end: the days of data that bound it, window_actual days apart; None where there are no
    two. coverage: the part of the window between them, 0 to 1. missing: days of the window of which
    nothing is known.
    """

    begin: date | None
    end: date | None
    window_actual: int | None
    coverage: float
    missing: int


@dataclass(frozen=True, slots=True)
class _Day:
    day: date
    stars: int = 0
    forks: int = 0


def since(as_of: date, window: Window) -> date:
    """The first day that bears on the trend of a window."""
    return as_of - timedelta(window.days + window.slack + window.earlier)


def span(days: Sequence[date], as_of: date, window: Window) -> Span:
    """Of a window that ends with `as_of`. days: those of data that bear on it."""
    # The bounds are those of a repository that is there on every day of data.
    found = trend(map(_Day, days), as_of=as_of, window=window)
    opening = as_of - timedelta(window.days)
    known = sum(opening < day <= as_of for day in days)
    return Span(found.begin, found.end, found.window_actual, found.coverage, window.days - known)
