"""The rows of a ranking file, one after another, and what was wrong in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from uaitools.insight.rankings import cells
from uaitools.insight.rankings.days import day_of
from uaitools.insight.rankings.lines import lines
from uaitools.insight.rankings.records import Records

COLUMNS: Final = (
    "rank", "item", "repo_name", "stars", "forks", "language", "repo_url", "username", "issues",
    "last_commit", "description",
)  # fmt: skip
KEPT: Final = 100
"""Problems of a file that are kept; all are counted."""
LONGEST: Final = 65_536
"""Bytes of a line."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a line was left out, or with line 0 the file."""

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return (
            f"{self.file}:{self.line}: {self.reason}"
            if self.line
            else f"{self.file}: {self.reason}"
        )


class Unreadable(ValueError):
    """A file cannot be taken at all: `problem` says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Row:
    """A repository in a list (`item`) on a day. What the file does not say is None."""

    full_name: str
    item: str | None = None
    rank: int | None = None
    stars: int | None = None
    forks: int | None = None
    issues: int | None = None
    language: str | None = None
    last_commit: datetime | None = None
    description: str | None = None


class Reading:
    """Rows of the file whose bytes come in blocks; iterate once, in memory that does not grow.

    file: its name, for problems and for the day, which is `day` or that of the name. A line that
    cannot be read, has no whole name, or a count or rank that cannot be, is left out and counted in
    `refused`: where one cell is wrong the others may stand in the wrong columns. The first `kept`
    of them are in `problems`. Raises Unreadable where there is no day, or the header has not what a
    row needs: a name (`repo_url`, or `username` and `repo_name`), and `stars` or `forks`.
    """

    __slots__ = ("_blocks", "_kept", "_longest", "day", "file", "problems", "refused", "rows")

    def __init__(
        self,
        blocks: Iterable[bytes],
        file: str,
        day: date | None = None,
        *,
        kept: int = KEPT,
        longest: int = LONGEST,
    ) -> None:
        try:
            self.day = day_of(file) if day is None else day
        except ValueError as error:
            raise Unreadable(Problem(file, 0, str(error))) from error
        self.file = file
        self.rows = 0
        self.refused = 0
        self.problems: list[Problem] = []
        self._blocks = blocks
        self._kept = kept
        self._longest = longest

    def __repr__(self) -> str:
        return f"<Reading {self.file} {self.day} rows={self.rows} refused={self.refused}>"

    def __iter__(self) -> Iterator[Row]:
        records = Records(lines(self._blocks, self._longest))
        places: Mapping[str, int] | None = None
        for record in records:
            if places is None:
                places = self._header(record.line, record.cells or ())
                records.open_end = places.get("description") == records.width - 1
            elif record.cells is None:
                self._refuse(record.line, record.reason)
            else:
                try:
                    row = _row(places, record.cells)
                except ValueError as error:
                    self._refuse(record.line, str(error))
                    continue
                self.rows += 1
                yield row
        if places is None:
            raise Unreadable(Problem(self.file, 0, "it is empty"))

    def _header(self, line: int, names: Sequence[str]) -> Mapping[str, int]:
        """Where the columns are that we know, in whatever order, among whatever others."""
        known = [name.strip().lower() for name in names]
        twice = {name for name in COLUMNS if known.count(name) > 1}
        if twice:
            raise Unreadable(Problem(self.file, line, f"columns stand twice: {sorted(twice)}"))
        places: dict[str, int] = {name: known.index(name) for name in COLUMNS if name in known}
        if "repo_url" not in places and not {"username", "repo_name"} <= places.keys():
            raise Unreadable(Problem(self.file, line, "the header has no column for names"))
        if not {"stars", "forks"} & places.keys():
            raise Unreadable(Problem(self.file, line, "the header has neither stars nor forks"))
        return places

    def _refuse(self, line: int, reason: str) -> None:
        self.refused += 1
        if len(self.problems) < self._kept:
            self.problems.append(Problem(self.file, line, reason))


def _row(places: Mapping[str, int], found: Sequence[str]) -> Row:
    def cell(column: str) -> str:
        place = places.get(column)
        return "" if place is None else found[place]

    def number(column: str, read: Callable[[str], int | None] = cells.count) -> int | None:
        try:
            return read(cell(column))
        except ValueError as error:
            raise ValueError(f"{column}: {error}") from error

    return Row(
        cells.full_name(cell("repo_url"), cell("username"), cell("repo_name")),
        cells.word(cell("item")),
        number("rank", cells.rank),
        number("stars"),
        number("forks"),
        number("issues"),
        cells.word(cell("language")),
        cells.moment(cell("last_commit")),
        cells.text(cell("description")),
    )
