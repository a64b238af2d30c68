"""Ranking files for tests."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence

from uaitools.insight.rankings.reading import COLUMNS, Reading, Row

FILE = "github-ranking-2024-02-11.csv"
HEADER = ",".join(COLUMNS)
VUE = "3,top-100-stars,vue,122454,17507,JavaScript,https://github.com/vuejs/vue,vuejs,233,"
"""A line up to its last commit and description."""


def blocks(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def reading(text: str | bytes, file: str = FILE, size: int = 7) -> Reading:
    data = text.encode() if isinstance(text, str) else text
    return Reading(blocks(data, size), file)


def rows(text: str | bytes) -> list[Row]:
    found = reading(text)
    taken = list(found)
    assert found.problems == []
    return taken


def reasons(text: str | bytes) -> list[str]:
    found = reading(text)
    assert [row.full_name for row in found] == []
    return [problem.reason for problem in found.problems]


def lines(*several: str) -> str:
    return "\n".join((HEADER, *several, ""))


def described(description: str) -> str:
    """A line with this as its last cell, as it is."""
    return f"{VUE}2018-12-18T07:38:59Z,{description}"


def written(
    cells: Iterable[Mapping[str, str]], columns: Sequence[str] = COLUMNS, end: str = "\n"
) -> str:
    file = io.StringIO()
    writer = csv.DictWriter(file, columns, lineterminator=end, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(cells)
    return file.getvalue()
