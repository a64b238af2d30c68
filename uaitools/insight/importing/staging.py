"""Rows of a day into tables of the transaction, and there into repositories.

What `rankings.gathering` says of the rows of a day is done here by the database: of each count the
maximum, and each text from the row with the highest counts that has it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, Final

from uaitools.insight.rankings.reading import Reading

if TYPE_CHECKING:
    from uaitools.postgres.access import Connection

Tell = Callable[[str], object]
"""Is told of progress, a line each."""

_EVERY: Final = 50_000  # rows between two lines of progress
_TURN: Final = 1_000  # rows of a turn of the loop
_COLUMNS: Final = (
    *("name", "full_name", "stars", "forks", "issues", "language", "last_commit"),
    "description",
)
_TABLES: Final = """
    CREATE TEMPORARY TABLE rows (
        name text COLLATE "C", full_name text COLLATE "C", stars integer, forks integer,
        issues integer, language text COLLATE "C", last_commit timestamptz,
        description text COLLATE "C"
    ) ON COMMIT DROP;
    -- Repositories of the day. taken: their name is that of another one.
    CREATE TEMPORARY TABLE told (
        name text COLLATE "C", full_name text COLLATE "C", stars integer, forks integer,
        issues integer, language text COLLATE "C", last_commit timestamptz,
        description text COLLATE "C", repository integer, taken boolean
    ) ON COMMIT DROP;
    -- Repositories that say something new of themselves.
    CREATE TEMPORARY TABLE reworded (repository integer PRIMARY KEY) ON COMMIT DROP;
"""
_GATHER: Final = """
    INSERT INTO told
    SELECT name, {full_name}, max(stars), max(forks), max(issues), {language}, max(last_commit),
        coalesce({description}, ''), names.repository, false
    FROM rows LEFT JOIN names USING (name) GROUP BY name, names.repository
""".format(
    **{
        text: f"""
            (array_agg({text} ORDER BY coalesce(stars, -1) DESC, coalesce(forks, -1) DESC,
                {text} DESC) FILTER (WHERE {text} IS NOT NULL))[1]
        """
        for text in ("full_name", "language", "description")
    }
)


async def provide_tables(connection: Connection) -> None:
    """Make the tables of the transaction."""
    await connection.execute(_TABLES)


async def stage(connection: Connection, reading: Reading, tell: Tell) -> None:
    """Add a file's rows to `rows`. Raises Unreadable."""
    await connection.copy_records_to_table(
        "rows", records=_records(reading, tell), columns=_COLUMNS
    )


async def gather(connection: Connection) -> None:
    """Make `told` of `rows`, which is empty then. repository: who has or had the name."""
    await connection.execute(f"TRUNCATE told; ANALYZE rows; {_GATHER}; TRUNCATE rows; ANALYZE told")


async def _records(reading: Reading, tell: Tell) -> AsyncIterator[tuple[Any, ...]]:
    for at, row in enumerate(reading, 1):
        yield (
            row.full_name.lower(), row.full_name, row.stars, row.forks, row.issues, row.language,
            row.last_commit, row.description,
        )  # fmt: skip
        if at % _TURN == 0:
            await asyncio.sleep(0)
        if at % _EVERY == 0:
            tell(f"{reading.file}: {at:,} rows")
