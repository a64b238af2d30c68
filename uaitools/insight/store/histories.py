"""Snapshots as columns."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from io import BytesIO
from typing import TYPE_CHECKING, Final

import numpy as np

from uaitools.insight.trending.histories import Histories, Ints

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from uaitools.postgres.access import Connection

ROWS: Final = 500_000
"""Snapshots that are read at once: 60 MB."""

_HEADER: Final = 19  # bytes before the first row of a binary COPY; 2 after the last
_UNKNOWN: Final = -1
_MEMBERS: Final = """
    SELECT number, coalesce(language, 0)
    FROM repositories JOIN standings ON repository = number
    WHERE source = $1 AND last_day IS NOT NULL ORDER BY number
"""
_SNAPSHOTS: Final = """
    SELECT repository, day - date '1970-01-01', coalesce(stars, -1), coalesce(forks, -1)
    FROM snapshots WHERE repository = ANY($1::integer[]) AND day BETWEEN $2 AND $3
    ORDER BY repository, day
"""
_RENAMES: Final = """
    SELECT repository, day - date '1970-01-01' FROM renames
    WHERE repository = ANY($1::integer[]) AND day BETWEEN $2 AND $3 ORDER BY repository, day
"""


@dataclass(frozen=True, slots=True)
class Part:
    """Some repositories, by number, in order. renamed: as of `trends`."""

    numbers: Ints
    histories: Histories
    renamed: tuple[Ints, Ints]

    def __repr__(self) -> str:
        return f"<Part repositories={len(self.numbers)} {self.histories!r}>"


async def members(connection: Connection, source: str) -> tuple[Ints, Ints]:
    """The numbers of a source's repositories, in order, and those of their languages, 0 for none.

    A repository is of the source that told of it last.
    """
    numbers, languages = (await _columns(connection, _MEMBERS, 2, source)).T
    return numbers, languages


async def snapshots(connection: Connection, numbers: Ints, since: date, until: date) -> Part:
    """The snapshots of some repositories between two days. numbers: in order."""
    asked = (numbers.tolist(), since, until)
    rows = await _columns(connection, _SNAPSHOTS, 4, *asked)
    renamed = await _columns(connection, _RENAMES, 2, *asked)
    counts = np.where(rows[:, 2:] == _UNKNOWN, np.nan, rows[:, 2:])
    return Part(
        numbers,
        Histories(np.searchsorted(numbers, rows[:, 0]), rows[:, 1], counts[:, 0], counts[:, 1]),
        (np.searchsorted(numbers, renamed[:, 0]), renamed[:, 1]),
    )


async def _columns(
    connection: Connection, query: str, columns: int, *values: object
) -> NDArray[np.int64]:
    """What a query says in columns of integers, none of them null: rows, columns.

    By COPY, which numpy reads as it is: a million rows as objects are half a gigabyte.
    """
    said = BytesIO()
    await connection.copy_from_query(query, *values, output=said, format="binary")
    field = [("length", ">i4"), ("value", ">i4")]
    row = np.dtype([("fields", ">i2"), *((f"f{at}", field) for at in range(columns))])
    rows = np.frombuffer(said.getbuffer()[_HEADER:-2], row)
    found = np.empty((len(rows), columns), np.int64)
    for at in range(columns):
        found[:, at] = rows[f"f{at}"]["value"]
    return found
