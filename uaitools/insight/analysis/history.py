"""Commits into authors, cadence and bus factor. Pure.

A commit is dated by its committer, as `git log --since` dates it: that is when it came to the
branch, whenever it was written. "The last year" is the 52 weeks that end at `as_of`. What is dated
after `as_of`, or not at all, counts in the totals and in no window.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from uaitools.insight.analysis.bots import is_bot
from uaitools.insight.analysis.dates import DAY, WEEK, WEEKS, YEAR, median_gap
from uaitools.insight.analysis.errors import Unreadable
from uaitools.insight.analysis.texts import readable

FORMAT: Final = "%H%x00%ct%x00%aN%x00%aE"
"""What `git log -z` is asked for: the fields that `Commits.add` takes."""
FIELDS: Final = 4
_QUARTER: Final = 13  # weeks


@dataclass(frozen=True, slots=True)
class Author:
    """Who wrote commits, by the name and address that .mailmap gives. recent: in the last year."""

    name: str
    email: str
    commits: int
    recent: int
    bot: bool


@dataclass(frozen=True, slots=True)
class Year:
    """The last year. weeks: commits in each, the oldest first, and those of people.

    authors: people who wrote any. median_gap: days between days with commits, None for less than
    two such days. bus_factor: see `bus_factor`; None where no person wrote any.
    """

    commits: int
    weeks: tuple[int, ...]
    people_weeks: tuple[int, ...]
    active_weeks: int
    median_gap: float | None
    authors: int
    bus_factor: int | None

    @property
    def people(self) -> int:
        """Commits of people."""
        return sum(self.people_weeks)

    @property
    def quarter(self) -> int:
        """Commits of people in its last 13 weeks."""
        return sum(self.people_weeks[-_QUARTER:])


@dataclass(frozen=True, slots=True)
class History:
    """Commits that HEAD reaches. authors: who wrote most first.

    first_at, last_at: unix seconds of the oldest and the newest that is dated, and not after
    `as_of`. undated: those whose date git cannot tell, or tells as 0. ahead: those after `as_of`.
    """

    commits: int
    authors: tuple[Author, ...]
    first_at: int | None
    last_at: int | None
    undated: int
    ahead: int
    year: Year

    @property
    def bot_commits(self) -> int:
        """Commits of programs."""
        return sum(one.commits for one in self.authors if one.bot)


@dataclass(slots=True, eq=False)
class _Tally:
    bot: bool
    commits: int = 0
    recent: int = 0


class Commits:
    """Counts commits as they come; keeps a line for each author and none for a commit.

    most: authors that are told apart.
    """

    def __init__(self, as_of: int, most: int) -> None:
        self._as_of = as_of
        self._most = most
        self._authors: dict[tuple[bytes, bytes], _Tally] = {}
        self._count = self._undated = self._ahead = 0
        self._first: int | None = None
        self._last: int | None = None
        self._weeks = [0] * WEEKS
        self._people = [0] * WEEKS
        self._days: set[int] = set()

    def __repr__(self) -> str:
        return f"<Commits {self._count} authors={len(self._authors)}>"

    def add(self, fields: Sequence[bytes]) -> None:
        """Count one, as `FORMAT` says it. Raises `Unreadable` for what is none."""
        if len(fields) != FIELDS or len(fields[0]) not in (40, 64):
            raise Unreadable("git says what is no commit")
        who = (fields[2], fields[3])
        tally = self._authors.get(who)
        if tally is None:
            tally = self._appear(who)
        self._count += 1
        tally.commits += 1
        at = int(fields[1]) if fields[1].isdigit() and len(fields[1]) < 20 else 0
        if at == 0:
            self._undated += 1
        elif at > self._as_of:
            self._ahead += 1
        else:
            self._date(at, tally)

    def history(self) -> History:
        """What has been counted."""
        authors = sorted(self._authors.items(), key=lambda item: (-item[1].commits, item[0]))
        told = tuple(
            Author(readable(name), readable(email), one.commits, one.recent, one.bot)
            for (name, email), one in authors
        )
        return History(
            self._count, told, self._first, self._last, self._undated, self._ahead, self._year(told)
        )

    def _appear(self, who: tuple[bytes, bytes]) -> _Tally:
        if len(self._authors) >= self._most:
            raise Unreadable(f"there are more than {self._most} authors")
        name, email = (one.decode("utf-8", "replace") for one in who)
        tally = self._authors[who] = _Tally(is_bot(name, email))
        return tally

    def _date(self, at: int, tally: _Tally) -> None:
        self._first = at if self._first is None else min(at, self._first)
        self._last = at if self._last is None else max(at, self._last)
        age = self._as_of - at
        if age >= YEAR:
            return
        week = WEEKS - 1 - age // WEEK
        self._weeks[week] += 1
        self._people[week] += not tally.bot
        self._days.add(age // DAY)
        tally.recent += 1

    def _year(self, authors: Sequence[Author]) -> Year:
        people = [one.recent for one in authors if one.recent and not one.bot]
        return Year(
            sum(self._weeks),
            tuple(self._weeks),
            tuple(self._people),
            active_weeks=sum(week > 0 for week in self._weeks),
            median_gap=median_gap(self._days),
            authors=len(people),
            bus_factor=bus_factor(people),
        )


def bus_factor(commits: Iterable[int]) -> int | None:
    """The fewest authors who made half of the commits; None where there are none.

    Source: CHAOSS, "Contributor Absence Factor" (once "Bus Factor"): contributions in decreasing
    order are added up until they are 50 % of all.
    """
    counts = sorted(commits, reverse=True)
    total, made = sum(counts), 0
    for number, count in enumerate(counts, start=1):
        made += count
        if 2 * made >= total > 0:
            return number
    return None
