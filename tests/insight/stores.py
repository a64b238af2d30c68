"""Stores of repositories on a real PostgreSQL of each kind, for tests."""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from tests.peers.postgres import PostgresServer, fresh_database
from uaitools.insight.importing.files import ranking_files
from uaitools.insight.importing.rankings import SOURCE, Imported, import_rankings
from uaitools.insight.rankings.reading import COLUMNS
from uaitools.insight.store.opening import MIGRATIONS, Store, pool_of
from uaitools.postgres.pool_settings import PoolSettings


@dataclass(frozen=True)
class Line:
    """A row of a ranking file. What is None is empty there."""

    name: str
    stars: int | None = None
    forks: int | None = None
    language: str | None = None
    description: str | None = None
    last_commit: datetime | None = None
    issues: int | None = None
    item: str = "top-100-stars"


@asynccontextmanager
async def fresh_store(postgres: PostgresServer) -> AsyncIterator[Store]:
    """An empty store."""
    async with fresh_database(postgres, "insight", MIGRATIONS) as database:
        pool = pool_of(database.service, PoolSettings(size=8))
        await pool.start()
        yield Store(database, pool)
        await pool.stop()


def write(directory: Path, day: date, lines: Iterable[Line], name: str = "ranking") -> Path:
    """A ranking file of a day."""
    path = directory / f"{name}-{day}.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for rank, line in enumerate(lines, 1):
            owner, _, name = line.name.partition("/")
            writer.writerow(
                (
                    rank, line.item, name, line.stars, line.forks, line.language,
                    f"https://github.com/{line.name}", owner, line.issues,
                    line.last_commit and line.last_commit.isoformat(), line.description,
                )
            )  # fmt: skip
    return path


async def take(store: Store, *files: Path, source: str = SOURCE) -> Imported:
    """Import files, without a word."""
    return await import_rankings(store.pool, ranking_files(files), source, lambda _: None)


async def dump(store: Store) -> dict[str, Sequence[Any]]:
    """All that is kept, by names instead of numbers, and without the history of imports."""
    told: dict[str, Sequence[Any]] = {}
    async with store.pool.acquire() as connection:
        for table, query in _TABLES.items():
            told[table] = [tuple(row) for row in await connection.fetch(query)]
    return told


_OF = "(SELECT id FROM repositories WHERE number = repository) AS id"
_TABLES = {
    "repositories": "SELECT id, owner, name, source, description, analysis_status, insight_count,"
    " quality FROM repositories ORDER BY id",
    "names": f"SELECT name, {_OF} FROM names ORDER BY name",
    "renames": f"SELECT {_OF}, day, old, new, certainty FROM renames ORDER BY id, day",
    "snapshots": f"SELECT {_OF}, day, stars, forks, issues FROM snapshots ORDER BY id, day",
    "standings": f"SELECT {_OF}, stars, forks, issues, first_day, last_day, updated, words::text,"
    " (SELECT name FROM languages WHERE number = language) FROM standings ORDER BY id",
    "scores": f"SELECT {_OF}, trending FROM scores ORDER BY id",
    "leaders": f"SELECT board, place, {_OF}, score, flagged, terms FROM leaders ORDER BY 1, 2",
    "analyses": f"SELECT {_OF}, day, commit, score, checks, insights FROM analyses ORDER BY 1, 2",
}
