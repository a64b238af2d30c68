"""Which repositories those of a day are: by names that they have or had, and by renames.

A name is of its newest bearer. Where a day has a repository under two names that it had, these are
two: the one under its newest name is it, and the other took the name over.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Final

from uaitools.insight.importing.staging import Tell
from uaitools.insight.rankings.gathering import Listed
from uaitools.insight.rankings.renames import Rename, renames
from uaitools.insight.store.shown import KEY

if TYPE_CHECKING:
    import asyncpg

    from uaitools.postgres.access import Connection

MOST: Final = 100_000
"""Repositories that vanished or appeared and could be the same. With more it is the source that
changed, and none is."""

ID: Final = """
    overlay(overlay(left(encode(sha256(convert_to('github.com/' || {of}, 'UTF8')), 'hex'), 32)
        PLACING '8' FROM 13) PLACING '8' FROM 17)::uuid
"""
"""The id of a repository: a UUID (version 8) of its first name, so that the same data has the same
ids wherever it is imported."""

_TAKEN: Final = f"""
    WITH twice AS (
        SELECT repository FROM told WHERE repository IS NOT NULL GROUP BY 1 HAVING count(*) > 1
    ),
    kept AS (
        SELECT DISTINCT ON (repository) repository, told.name
        FROM twice JOIN told USING (repository) JOIN repositories ON number = repository
        ORDER BY repository, told.name <> {KEY}, told.name
    )
    UPDATE told SET repository = NULL, taken = true FROM kept
    WHERE told.repository = kept.repository AND told.name <> kept.name
"""
_APPEARED: Final = "told.repository IS NULL AND NOT taken"
_VANISHED: Final = f"""
    SELECT repositories.number, owner || '/' || repositories.name AS full_name, stars, forks,
        issues, languages.name AS language, updated AS last_commit, nullif(description, '')
        AS description
    FROM repositories JOIN standings ON repository = repositories.number
        LEFT JOIN languages ON languages.number = language
    WHERE source = $1 AND last_day = $2
        AND NOT EXISTS (SELECT FROM told WHERE told.repository = repositories.number)
        AND (lower(owner) IN (SELECT split_part(name, '/', 1) FROM told WHERE {_APPEARED})
            OR lower(repositories.name)
                IN (SELECT split_part(name, '/', 2) FROM told WHERE {_APPEARED}))
    LIMIT {MOST + 1}
"""
_MAY_BE: Final = f"""
    SELECT full_name, stars, forks, issues, language, last_commit, nullif(description, '')
        AS description
    FROM told
    WHERE {_APPEARED} AND (split_part(name, '/', 1) = ANY($1::text[])
        OR split_part(name, '/', 2) = ANY($2::text[]))
    LIMIT {MOST + 1}
"""
_RENAMED: Final = """
    WITH changed AS (
        SELECT * FROM unnest($2::integer[], $3::text[], $4::text[], $5::float8[])
            AS changed (repository, old, new, certainty)
    ),
    noted AS (
        INSERT INTO renames (repository, day, old, new, certainty)
        SELECT repository, $1, old, new, certainty FROM changed
    ),
    named AS (INSERT INTO names (name, repository) SELECT new, repository FROM changed)
    UPDATE told SET repository = changed.repository FROM changed WHERE told.name = changed.new
"""
_NEW: Final = f"""
    WITH made AS (
        INSERT INTO repositories (id, owner, name, source, description)
        SELECT {ID.format(of="name || CASE WHEN taken THEN '#' || $2 ELSE '' END")},
            split_part(full_name, '/', 1), split_part(full_name, '/', 2), $1, description
        FROM told WHERE repository IS NULL ORDER BY told.name
        RETURNING number, {KEY} AS name
    ),
    named AS (
        INSERT INTO names (name, repository) SELECT name, number FROM made
        ON CONFLICT (name) DO UPDATE SET repository = EXCLUDED.repository
    ),
    noted AS (INSERT INTO reworded SELECT number FROM made)
    UPDATE told SET repository = made.number FROM made WHERE told.name = made.name
"""


_LISTED: Final = ["full_name", "stars", "forks", "issues", "language", "last_commit", "description"]


async def identify(
    connection: Connection, source: str, day: date, before: date | None, tell: Tell
) -> None:
    """Find the repository of each row of `told`; who is new is made.

    before: the day of data before, if this one is newer than all others of the source. Only then
    renames are looked for.
    """
    await connection.execute(_TAKEN)
    if before is not None:
        await _renames(connection, source, day, before, tell)
    await provide_new(connection, source, day)


async def provide_new(connection: Connection, source: str, day: date) -> None:
    """Make the repositories of `told` that there are not yet."""
    await connection.execute(_NEW, source, str(day))


async def _renames(
    connection: Connection, source: str, day: date, before: date, tell: Tell
) -> None:
    numbers: dict[str, int] = {}
    vanished: dict[str, Listed] = {}
    for row in await connection.fetch(_VANISHED, source, before):
        listed = _listed(row)
        vanished[listed.key], numbers[listed.key] = listed, row["number"]
    owners, names = ([key.split("/")[part] for key in vanished] for part in (0, 1))
    rows = await connection.fetch(_MAY_BE, owners, names) if vanished else []
    if max(len(vanished), len(rows)) > MOST:
        tell(f"{day}: too many vanished and appeared to look for renames")
        return
    appeared = {listed.key: listed for listed in map(_listed, rows)}
    found = renames(vanished, appeared, (day - before).days)
    for one in found.settled:
        tell(f"{day}: {one.old} is {one.new} now ({one.certainty:.3f})")
    for one in found.open:
        tell(f"{day}: {one.old} may be {one.new} now ({one.certainty:.3f}); taken for two")
    await _settle(connection, day, found.settled, numbers)


async def _settle(
    connection: Connection, day: date, settled: tuple[Rename, ...], numbers: Mapping[str, int]
) -> None:
    columns = ([numbers[one.old] for one in settled], [one.old for one in settled])
    new = ([one.new for one in settled], [one.certainty for one in settled])
    await connection.execute(_RENAMED, day, *columns, *new)


def _listed(row: asyncpg.Record) -> Listed:
    return Listed(**{name: row[name] for name in _LISTED})
