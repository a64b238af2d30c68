"""Snapshots of a day, and how repositories stand since.

Each statement gives the same for the same rows in whatever order days come: counts of one day are
its maxima, and what is newest is told by the newest day alone.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Final

from uaitools.insight.store.shown import KEY

if TYPE_CHECKING:
    from uaitools.postgres.access import Connection

_LANGUAGES: Final = """
    INSERT INTO languages (name)
    SELECT DISTINCT language FROM told
    WHERE language IS NOT NULL AND language NOT IN (SELECT name FROM languages) ORDER BY language
"""
_SNAPSHOTS: Final = """
    INSERT INTO snapshots AS known (repository, day, stars, forks, issues)
    SELECT repository, $1, stars, forks, issues FROM told ORDER BY repository
    ON CONFLICT (repository, day) DO UPDATE SET stars = greatest(known.stars, EXCLUDED.stars),
        forks = greatest(known.forks, EXCLUDED.forks),
        issues = greatest(known.issues, EXCLUDED.issues)
"""
_NEWER: Final = "standings.repository = told.repository AND coalesce(last_day < $1, true)"
_SAME: Final = "standings.repository = told.repository AND last_day = $1"
_BACK: Final = f"""
    INSERT INTO renames (repository, day, old, new, certainty)
    SELECT number, $1, {KEY}, told.name, 1
    FROM told JOIN standings ON {_NEWER} JOIN repositories ON number = told.repository
    WHERE told.name <> {KEY} ON CONFLICT DO NOTHING
"""
_TEXTS: Final = f"""
    WITH changed AS (
        UPDATE repositories SET owner = split_part(full_name, '/', 1),
            name = split_part(full_name, '/', 2), description = told.description, source = $2
        FROM told JOIN standings ON {_NEWER}
        WHERE number = told.repository
            AND (owner || '/' || repositories.name, repositories.description, source)
                <> (full_name, told.description, $2)
        RETURNING number
    )
    INSERT INTO reworded SELECT number FROM changed ON CONFLICT DO NOTHING
"""
_SAME_TEXTS: Final = f"""
    WITH changed AS (
        UPDATE repositories SET description = told.description
        FROM told JOIN standings ON {_SAME}
        WHERE number = told.repository AND told.description > repositories.description
        RETURNING number
    )
    INSERT INTO reworded SELECT number FROM changed ON CONFLICT DO NOTHING
"""
# Languages and magnitudes of stars are among the words.
_REWORDED: Final = """
    WITH changed AS ({changed}),
    noted AS (
        INSERT INTO reworded SELECT changed.repository FROM changed
            JOIN standings USING (repository)
        WHERE (standings.language, length(standings.stars::text))
            IS DISTINCT FROM (changed.language, length(changed.stars::text))
        ON CONFLICT DO NOTHING
    )
    SELECT count(*) FROM changed
"""  # `standings` is as it was before: all parts of a statement see one state
_SAME_COUNTS: Final = _REWORDED.format(
    changed=f"""
    UPDATE standings SET stars = greatest(standings.stars, told.stars),
        forks = greatest(standings.forks, told.forks),
        issues = greatest(standings.issues, told.issues),
        updated = greatest(updated, told.last_commit),
        language = (SELECT number FROM languages WHERE name = greatest(told.language,
            (SELECT name FROM languages WHERE number = standings.language)))
    FROM told WHERE {_SAME}
    RETURNING standings.repository, standings.language, standings.stars
    """
)
_COUNTS: Final = _REWORDED.format(
    changed=f"""
    UPDATE standings SET stars = told.stars, forks = told.forks, issues = told.issues,
        updated = told.last_commit, last_day = $1, first_day = least(first_day, $1),
        language = languages.number, padding = NULL
    FROM told LEFT JOIN languages ON languages.name = told.language WHERE {_NEWER}
    RETURNING standings.repository, standings.language, standings.stars
    """
)
_FIRST: Final = """
    UPDATE standings SET first_day = $1 FROM told
    WHERE standings.repository = told.repository AND first_day > $1
"""
_NEW: Final = """
    INSERT INTO standings
        (repository, stars, forks, issues, updated, first_day, last_day, language)
    SELECT repository, stars, forks, issues, last_commit, $1::date, $1, languages.number
    FROM told LEFT JOIN languages ON languages.name = told.language
    WHERE NOT EXISTS (SELECT FROM standings WHERE standings.repository = told.repository)
    ORDER BY repository
"""


async def stand(connection: Connection, source: str, day: date) -> None:
    """Take what `told` says of a day, its repositories being known."""
    await connection.execute(_LANGUAGES)
    await connection.execute(_SNAPSHOTS, day)
    await connection.execute(_BACK, day)
    await connection.execute(_SAME_TEXTS, day)
    await connection.execute(_TEXTS, day, source)
    for statement in (_SAME_COUNTS, _COUNTS, _FIRST, _NEW):
        await connection.execute(statement, day)


async def stand_alone(connection: Connection) -> None:
    """Let those of `told` stand whom no ranking file ever told of."""
    await connection.execute(_LANGUAGES)
    await connection.execute(_NEW, None)
