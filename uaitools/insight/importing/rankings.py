"""Ranking files into the store: all of them, or nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import TYPE_CHECKING, Final

from uaitools.insight.importing.errors import Refused
from uaitools.insight.importing.files import RankingFile
from uaitools.insight.importing.identities import identify
from uaitools.insight.importing.leading import lead
from uaitools.insight.importing.staging import Tell, gather, provide_tables, stage
from uaitools.insight.importing.standing import stand
from uaitools.insight.importing.wording import word
from uaitools.insight.rankings.reading import Unreadable
from uaitools.insight.store.generations import Making, making
from uaitools.postgres.pool import Pool

if TYPE_CHECKING:
    from uaitools.postgres.access import Connection

SOURCE: Final = "github-ranking"
"""Whose ranking files they are, unless it is said."""

_SHOWN: Final = 10  # problems of a file that are told
_KNOWN: Final = "SELECT EXISTS (SELECT FROM files WHERE source = $1 AND day = $2 AND digest = $3)"
_LAST: Final = "SELECT max(day) FROM files WHERE source = $1"
_TAKEN: Final = """
    INSERT INTO files (source, day, digest, name, rows, refused, generation)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
"""


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of an import. generation: None if nothing was new.

    files: that were taken; known: that had been before. rows: of lists. refused: lines that could
    not be read.
    """

    generation: int | None
    files: int
    known: int
    rows: int
    refused: int


async def import_rankings(
    pool: Pool, files: Iterable[RankingFile], source: str, tell: Tell
) -> Imported:
    """Take files, as `ranking_files` finds them, in one transaction.

    source: whose they are. A file that was taken before changes nothing; of several files of a day
    the maxima count. Renames are looked for where days come in order. Raises Refused for a file
    that cannot be read, after which nothing has changed; DatabaseAway.
    """
    async with (
        pool.acquire() as connection,
        making(connection, "ranking files", tell) as made,
    ):
        return await _Import(connection, made, source, tell).run(files)


class _Import:
    """One import in its transaction."""

    def __init__(self, connection: Connection, made: Making, source: str, tell: Tell) -> None:
        self._connection = connection
        self._made = made
        self._source = source
        self._tell = tell
        self._rows = self._refused = 0

    def __repr__(self) -> str:
        return f"<_Import {self._source} {self._made} rows={self._rows}>"

    async def run(self, files: Iterable[RankingFile]) -> Imported:
        """All of it."""
        known: list[RankingFile] = []
        new: list[RankingFile] = []
        for one in files:
            values = (self._source, one.day, one.digest)
            (known if await self._connection.fetchval(_KNOWN, *values) else new).append(one)
        for one in known:
            self._tell(f"{one.path}: was taken before")
        if new:
            self._made.changed = True
            await provide_tables(self._connection)
            for day, several in groupby(new, key=lambda one: one.day):
                await self._day(day, list(several))
            await word(self._connection, self._tell)
            newest = await self._connection.fetchval("SELECT max(day) FROM files")
            await lead(self._connection, newest, self._tell)
        number = self._made.number if new else None
        return Imported(number, len(new), len(known), self._rows, self._refused)

    async def _day(self, day: date, files: Sequence[RankingFile]) -> None:
        connection = self._connection
        last: date | None = await connection.fetchval(_LAST, self._source)
        for file in files:
            await self._stage(file)
        self._tell(f"{day}: looking up repositories")
        await gather(connection)
        before = last if last is not None and last < day else None
        await identify(connection, self._source, day, before, self._tell)
        await stand(connection, self._source, day)

    async def _stage(self, file: RankingFile) -> None:
        try:
            with file.reading() as reading:
                await stage(self._connection, reading, self._tell)
        except OSError as error:
            raise Refused([f"{file.path}: {error.strerror}"]) from error
        except Unreadable as error:
            raise Refused([str(error)]) from error
        for problem in reading.problems[:_SHOWN]:
            self._tell(f"{problem}; left out")
        more = reading.refused - _SHOWN
        if more > 0:
            self._tell(f"{file.path}: {more:,} more lines left out")
        if not reading.rows:
            raise Refused([f"{file.path}: it has no row that can be read"])
        values = (self._source, file.day, file.digest, file.name)
        counts = (reading.rows, reading.refused, self._made.number)
        await self._connection.execute(_TAKEN, *values, *counts)
        self._tell(f"{file.path}: {reading.rows:,} rows of {file.day}")
        self._rows += reading.rows
        self._refused += reading.refused
