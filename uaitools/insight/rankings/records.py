"""Lines into the cells of records, by RFC 4180, and past what is not written so.

A quote that nobody closes would take all lines up to the next quote into one cell. Quotes are
therefore read strictly, a record is bounded, and where it does not come out its first line is taken
alone and reading goes on with the second: wrong quotes cost one line.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from uaitools.insight.rankings.lines import Line

MOST_LINES: Final = 64
"""Of a record. No description of GitHub's has so many line ends, or more than 350 characters."""


@dataclass(frozen=True, slots=True)
class Record:
    """line: where it begins. cells: None where they cannot be told, for the given reason."""

    line: int
    cells: list[str] | None
    reason: str = ""


class Records:
    """The records of a file, the header among them; lines without anything are none.

    The first record says how many cells those after it have. open_end: whether the last column is
    free text, which is then taken even where its quotes are wrong.
    """

    __slots__ = ("_back", "_lines", "open_end", "width")

    def __init__(self, lines: Iterable[Line]) -> None:
        self._lines = iter(lines)
        self._back: deque[Line] = deque()
        self.width = 0
        self.open_end = False

    def __repr__(self) -> str:
        return f"<Records width={self.width}>"

    def __iter__(self) -> Iterator[Record]:
        while (first := self._next()) is not None:
            if first.data is None:
                yield Record(first.number, None, "the line is too long")
            elif first.data.strip():
                yield self._record(first, first.data)

    def _record(self, first: Line, data: bytes) -> Record:
        taken: list[Line] = []
        try:
            cells = next(csv.reader(self._continued(data, taken), strict=True))
        except csv.Error:
            cells = []
        if cells and not self.width:
            self.width = len(cells)
        if len(cells) == self.width:
            return Record(first.number, cells)
        self._back.extendleft(reversed(taken))
        if cells and not taken:
            reason = f"it has {len(cells)} cells, and the header has {self.width}"
            return Record(first.number, None, reason)
        return Record(first.number, self._open(data), "its quotes do not match")

    def _continued(self, data: bytes, taken: list[Line]) -> Iterator[str]:
        """The text of a line, then of the lines after it, as far as the reader asks for them."""
        yield _text(data)
        while len(taken) < MOST_LINES - 1 and (line := self._next()) is not None:
            taken.append(line)
            if line.data is None:
                return
            yield _text(line.data)

    def _open(self, data: bytes) -> list[str] | None:
        """Cells whose first quote begins the last of them: the text after it is known to be its."""
        head, quote, text = _text(data).rstrip("\n").partition('"')
        cells = head.split(",")
        if not (quote and self.open_end and len(cells) == self.width and not cells[-1]):
            return None
        cells[-1] = text.removesuffix('"').replace('""', '"')
        return cells

    def _next(self) -> Line | None:
        return self._back.popleft() if self._back else next(self._lines, None)


def _text(data: bytes) -> str:
    """A line for the reader of CSV, whose own ends are LF. NUL is in no text of PostgreSQL."""
    text = data.decode("utf-8", "replace").removeprefix("\ufeff")
    return text.replace("\r", " ").replace("\0", "") + "\n"
