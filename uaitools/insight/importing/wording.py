"""The words that search finds, of repositories that are new or say something new."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from uaitools.insight.importing.staging import Tell
from uaitools.insight.terms import document

if TYPE_CHECKING:
    import asyncpg

    from uaitools.postgres.access import Connection

_BATCH: Final = 5_000
_EVERY: Final = 100_000  # repositories between two lines of progress
_NEXT: Final = f"""
    SELECT repositories.number, owner || '/' || repositories.name AS full_name, description,
        languages.name AS language, stars
    FROM reworded JOIN repositories ON repositories.number = repository
        JOIN standings USING (repository)
        LEFT JOIN languages ON languages.number = language
    WHERE repository > $1 ORDER BY repository LIMIT {_BATCH}
"""
_PUT: Final = """
    UPDATE standings SET words = new.words::tsvector, padding = repeat(' ', 2000)
    FROM unnest($1::integer[], $2::text[]) AS new (repository, words)
    WHERE standings.repository = new.repository
"""


async def word(connection: Connection, tell: Tell) -> None:
    """Find the words of those in `reworded`."""
    await connection.execute("ANALYZE reworded")
    loop = asyncio.get_running_loop()
    rows = await connection.fetch(_NEXT, 0)
    documents = _documents(rows)
    done = 0
    while rows:
        numbers = [row["number"] for row in rows]
        rows = await connection.fetch(_NEXT, numbers[-1])
        following = loop.run_in_executor(None, _documents, rows)  # while the database indexes
        await connection.execute(_PUT, numbers, documents)
        documents = await following
        done += len(numbers)
        if done % _EVERY == 0:
            tell(f"words of {done:,} repositories")


def _documents(rows: Sequence[asyncpg.Record]) -> list[str]:
    return [
        document(row["full_name"], row["description"], row["language"], row["stars"])
        for row in rows
    ]
