"""Trends of many repositories at once, and of one."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal, get_args

import numpy as np

from uaitools.insight.trending.bounds import Bools, Bounds, bounds, values
from uaitools.insight.trending.formula import VERSION, Counts, Floats, Terms, terms
from uaitools.insight.trending.histories import (
    Histories,
    Ints,
    Snapshot,
    dated,
    history,
    number,
    ordered,
)
from uaitools.insight.trending.window import Window

Flag = Literal["spike_without_forks", "loss", "renamed", "thin_data", "left_source"]
SUSPECT: Final = frozenset[Flag]({"spike_without_forks", "loss", "renamed"})
"""The flags that `exclude=flagged` is about. The others say what is known and not what happened: a
new repository has no earlier data, and is what a list of trends is for."""

SPIKE: Final = 3.0
"""Surprise from which a gain is a spike."""
SPIKE_FORKS: Final = 5.0
"""Forks that have to be expected before their absence says anything: none come by chance in less
than one case of a hundred."""
SPIKE_PART: Final = 0.1
"""Of the expected forks; a spike that brings no more is one without."""


@dataclass(frozen=True, slots=True)
class Trend:
    """One repository's trend, term by term. None is unknown; the order is by the whole score.

    begin, end: the known days that bound the window, window_actual days apart; coverage: the part
    of the window between them, 0 to 1. stars, forks: at the beginning. earlier_rate: stars a day in
    the earlier_days before it. The other terms are those of the formula.
    """

    window: Window
    as_of: date
    score: float | None
    begin: date | None
    end: date | None
    window_actual: int | None
    coverage: float
    stars: int | None
    forks: int | None
    gain: int | None
    earlier_gain: int
    earlier_days: int
    earlier_rate: float | None
    expected: float | None
    shrinkage: float | None
    surprise: float | None
    forks_gain: int | None
    forks_expected: float | None
    corroboration: float | None
    flags: tuple[Flag, ...]
    version: str = VERSION

    @property
    def shown(self) -> float | None:
        """The score with one decimal."""
        return None if self.score is None else round(self.score, 1)

    @property
    def flagged(self) -> bool:
        """Whether `exclude=flagged` drops it."""
        return not SUSPECT.isdisjoint(self.flags)


@dataclass(frozen=True, slots=True)
class Trends:
    """Trends of many repositories, an entry each; one of them is a Trend.

    begin, end: days by number, NaN where there are no two. flags: by name.
    """

    window: Window
    as_of: int
    begin: Floats
    end: Floats
    coverage: Floats
    counts: Counts
    terms: Terms
    flags: dict[Flag, Bools]

    def __len__(self) -> int:
        return len(self.begin)

    def __repr__(self) -> str:
        known = len(self) - int(np.isnan(self.terms.score).sum())
        return f"<Trends {self.window} {dated(self.as_of)} {known}/{len(self)}>"

    @property
    def score(self) -> Floats:
        """The scores, NaN where unknown."""
        return self.terms.score

    @property
    def flagged(self) -> Bools:
        """Which ones `exclude=flagged` drops."""
        found = np.zeros(len(self), np.bool_)
        for flag in SUSPECT:
            found |= self.flags[flag]
        return found

    def __getitem__(self, repository: int) -> Trend:
        counts, found, at = self.counts, self.terms, repository
        days = int(counts.earlier_days[at])
        return Trend(
            window=self.window,
            as_of=dated(self.as_of),
            score=_known(found.score[at]),
            begin=_day(self.begin[at]),
            end=_day(self.end[at]),
            window_actual=_whole(counts.days[at]),
            coverage=float(self.coverage[at]),
            stars=_whole(counts.stars[at]),
            forks=_whole(counts.forks[at]),
            gain=_whole(counts.gain[at]),
            earlier_gain=int(counts.earlier_gain[at]),
            earlier_days=days,
            earlier_rate=float(counts.earlier_gain[at]) / days if days else None,
            expected=_known(found.expected[at]),
            shrinkage=_known(found.shrinkage[at]),
            surprise=_known(found.surprise[at]),
            forks_gain=_whole(counts.forks_gain[at]),
            forks_expected=_known(found.forks_expected[at]),
            corroboration=_known(found.corroboration[at]),
            flags=tuple(flag for flag in get_args(Flag) if self.flags[flag][at]),
        )


def trend(
    snapshots: Iterable[Snapshot],
    *,
    as_of: date,
    window: Window,
    source_days: Collection[date] = (),
    renamed: Iterable[date] = (),
) -> Trend:
    """The trend of one repository.

    source_days: on which the source has data at all, of anything. renamed: the first days under
    another name. A score of None says that the window has no two known days.
    """
    days = np.array(sorted(map(number, renamed)), np.int64)
    return trends(
        history(snapshots),
        1,
        as_of=as_of,
        window=window,
        source_days=source_days,
        renamed=(np.zeros(len(days), np.int64), days),
    )[0]


def trends(
    histories: Histories,
    repositories: int,
    *,
    as_of: date,
    window: Window,
    source_days: Collection[date] = (),
    renamed: tuple[Ints, Ints] | None = None,
) -> Trends:
    """The trends of repositories 0 to `repositories` - 1, as `trend` has them one by one.

    renamed: repositories and days by number, side by side. Each repository stands for itself, so
    that many can be done in parts: 220 bytes are needed for each, and 30 for each snapshot, 90
    where they are not ordered.
    """
    rows, today = ordered(histories), number(as_of)
    found = bounds(rows, repositories, today, window)
    begin, end = values(rows.day, found.begin), values(rows.day, found.end)
    end = np.where(np.isnan(begin), np.nan, end)
    counts = _counts(rows, found, end - begin)
    made = terms(counts)
    covered = (end - np.maximum(begin, today - window.days)) / window.days
    coverage = np.where(np.isnan(covered), 0.0, covered)
    latest = max((day for day in map(number, source_days) if day <= today), default=-np.inf)
    flags: dict[Flag, Bools] = {
        "spike_without_forks": (made.surprise >= SPIKE)
        & (made.forks_expected >= SPIKE_FORKS)
        & (counts.forks_gain <= SPIKE_PART * made.forks_expected),
        "loss": (counts.gain < 0) | (counts.earlier_gain < 0),
        "renamed": _renamed(renamed, begin - counts.earlier_days, end),
        "thin_data": (coverage < 0.5) | (counts.earlier_days < window.earlier / 2),
        "left_source": values(rows.day, found.last) < latest,
    }
    return Trends(window, today, begin, end, coverage, counts, made, flags)


def _counts(rows: Histories, found: Bounds, days: Floats) -> Counts:
    stars, forks = values(rows.stars, found.begin), values(rows.forks, found.begin)
    earlier_gain = stars - values(rows.stars, found.earlier)
    earlier_days = values(rows.day, found.begin) - values(rows.day, found.earlier)
    return Counts(
        stars,
        values(rows.stars, found.end) - stars,
        days,
        np.where(np.isnan(earlier_gain), 0.0, earlier_gain),
        np.where(np.isnan(earlier_days), 0.0, earlier_days),
        forks,
        values(rows.forks, found.end) - forks,
    )


def _renamed(renamed: tuple[Ints, Ints] | None, since: Floats, end: Floats) -> Bools:
    """Which ones had another name on one of the days that are compared."""
    flags = np.zeros(len(end), np.bool_)
    if renamed is not None:
        whose, day = renamed
        flags[whose[(day > since[whose]) & (day <= end[whose])]] = True
    return flags


def _day(value: np.float64) -> date | None:
    return None if np.isnan(value) else dated(int(value))


def _known(value: np.float64) -> float | None:
    return None if np.isnan(value) else float(value)


def _whole(value: np.float64) -> int | None:
    return None if np.isnan(value) else int(value)
