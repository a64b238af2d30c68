"""Snapshots of many repositories, as columns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from uaitools.insight.trending.formula import Floats

Ints = NDArray[np.int64]

_EPOCH = date(1970, 1, 1).toordinal()


class Snapshot(Protocol):
    """A repository's counts on a day; None is unknown."""

    @property
    def day(self) -> date:
        """In the source's own calendar."""

    @property
    def stars(self) -> int | None:
        """Stars then, not those of the day."""

    @property
    def forks(self) -> int | None:
        """Forks, likewise."""


@dataclass(frozen=True, slots=True)
class Histories:
    """A row a snapshot, in any order. repository: from 0. day: see `number`. NaN is unknown."""

    repository: Ints
    day: Ints
    stars: Floats
    forks: Floats

    def __repr__(self) -> str:
        return f"<Histories snapshots={len(self.day)}>"


def number(day: date) -> int:
    """A day as a number, as numpy counts those of datetime64[D]: from 1970-01-01."""
    return day.toordinal() - _EPOCH


def dated(day: int) -> date:
    """The day of a number."""
    return date.fromordinal(day + _EPOCH)


def history(snapshots: Iterable[Snapshot]) -> Histories:
    """The snapshots of one repository."""
    rows = [(number(one.day), _float(one.stars), _float(one.forks)) for one in snapshots]
    days, stars, forks = zip(*rows, strict=True) if rows else ((), (), ())
    return Histories(
        np.zeros(len(rows), np.int64),
        np.array(days, np.int64),
        np.array(stars, np.float64),
        np.array(forks, np.float64),
    )


def ordered(histories: Histories) -> Histories:
    """Rows by repository, then by day; of one day the maximum of each count that is known.

    What is ordered already, as a database can deliver it, is not sorted again.
    """
    steps, days = np.diff(histories.repository), np.diff(histories.day)
    if np.all((steps > 0) | ((steps == 0) & (days > 0))):
        return histories
    order = np.lexsort((histories.day, histories.repository))
    repository, day = histories.repository[order], histories.day[order]
    new = (np.diff(repository) != 0) | (np.diff(day) != 0)
    first = np.flatnonzero(np.concatenate(([True], new)))
    return Histories(
        repository[first],
        day[first],
        np.fmax.reduceat(histories.stars[order], first),
        np.fmax.reduceat(histories.forks[order], first),
    )


def _float(count: int | None) -> float:
    return np.nan if count is None else float(count)
