"""Repositories that a query finds: a page of them, how many there are, and of which kinds.

All of it is one statement over the narrow rows of `standings`, and so of one generation. What is
found is counted exactly: a query reads every row that it finds and, but for a filter by stars,
no other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

from uaitools.insight import terms
from uaitools.insight.errors import BadQuery
from uaitools.insight.store.generations import STATE, State, state_of
from uaitools.insight.store.shown import TABLES, columns, shown
from uaitools.postgres.pool import Pool

if TYPE_CHECKING:
    from uaitools.postgres.access import Connection

Sort = Literal["stars", "forks", "updated"]
RANGES: Final = ("0-10", "11-100", "101-1000", "1000+")
"""Of stars; 1000 belongs to the third. Where they are unknown, a repository is in none of them."""

_SEARCH: Final = """
    WITH state AS ({state}),
    found AS MATERIALIZED (
        SELECT repository, stars, forks, updated, language FROM standings
        WHERE {matches}
            AND ($2::text IS NULL OR language = (SELECT number FROM languages WHERE name = $2))
            AND ($3::bigint IS NULL OR stars >= $3)
    ),
    counted AS (
        SELECT language, CASE WHEN stars <= 10 THEN 0 WHEN stars <= 100 THEN 1
            WHEN stars <= 1000 THEN 2 WHEN stars > 1000 THEN 3 END AS range, count(*) AS count
        FROM found GROUP BY 1, 2
    ),
    page AS (
        SELECT repository FROM found WHERE {after}
        ORDER BY {sort} DESC NULLS LAST, repository LIMIT $4 OFFSET $5
    ),
    listed AS (
        SELECT page.repository AS number,
            (extract(epoch FROM standings.updated) * 1000000)::bigint AS updated, {shown}
        FROM page JOIN ({tables}) ON repositories.number = page.repository
    )
    SELECT state.*,
        (SELECT json_agg(json_build_array(languages.name, range, count))
            FROM counted LEFT JOIN languages ON languages.number = language) AS counts,
        (SELECT json_agg(listed ORDER BY {sort} DESC NULLS LAST, number) FROM listed) AS page
    FROM state
"""
_WORDS: Final = "words @@ $1::text::tsquery"
_ALIKE: Final = """
    repository IN (SELECT names.repository FROM names WHERE $1 OPERATOR({schema}.<%) names.name)
"""
_AFTER: Final = """
    ({sort} < $6::{type} OR {sort} IS NULL OR {sort} = $6 AND repository > $7::bigint)
"""
_AFTER_NULL: Final = "{sort} IS NULL AND $6::{type} IS NULL AND repository > $7::bigint"
_SCHEMA: Final = """
    SELECT (SELECT quote_ident(nspname) FROM pg_extension
        JOIN pg_namespace ON pg_namespace.oid = extnamespace WHERE extname = 'pg_trgm')
    WHERE to_regclass('names_alike') IS NOT NULL
"""
_TYPES: Final[Mapping[Sort, str]] = {
    "stars": "bigint",
    "forks": "bigint",
    "updated": "timestamptz",
}
_MOST: Final = 2**62  # of a number that PostgreSQL is asked with
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class After:
    """Where a page ended: what its last repository is sorted by, and its number.

    value: stars, forks, or microseconds since 1970; None where that is unknown.
    """

    value: int | None
    number: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """A search. query: as a person writes it. language: as the source does.

    Each term of the query has to be found: as words of the description or the name, or as a part of
    `owner/name`. A query without any finds nothing. after: where the page before ended; those that
    came or changed since then stand where they belong. limit, offset: 0 or more.
    """

    query: str
    language: str | None = None
    min_stars: int | None = None
    sort: Sort = "stars"
    limit: int = 20
    offset: int = 0
    after: After | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found. repositories: a page, as in `shown`.

    total: exact. languages: how many there are of each, most first; repositories without one are in
    none. ranges: likewise, of RANGES. next: where the next page begins; None after the last.
    alike: nothing was found, and these are named nearly like it.
    """

    state: State
    total: int
    repositories: Sequence[Mapping[str, Any]]
    languages: Mapping[str, int]
    ranges: Mapping[str, int]
    next: After | None
    alike: bool


class Search:
    """Searches of repositories."""

    __slots__ = ("_pool", "_schema")

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._schema: str | None = None  # where pg_trgm is, '' nowhere; None: not yet known

    def __repr__(self) -> str:
        return f"<Search {self._pool!r} alike={self._schema}>"

    async def search(self, wanted: Wanted) -> Found:
        """What is found.

        Raises BadQuery for a place where no page can have ended, DatabaseAway and PoolExhausted.
        """
        async with self._pool.acquire() as connection:
            words = terms.query(wanted.query, wanted.language, wanted.min_stars)
            found = await _found(connection, wanted, _WORDS, words)
            if found.total or not words:
                return found
            if self._schema is None:
                self._schema = await connection.fetchval(_SCHEMA) or ""
            if not self._schema:
                return found
            matches = _ALIKE.format(schema=self._schema)
            name = terms.folded(wanted.query)[: terms.LONGEST]
            return await _found(connection, wanted, matches, name, alike=True)


async def _found(
    connection: Connection, wanted: Wanted, matches: str, what: str, *, alike: bool = False
) -> Found:
    after = wanted.after
    condition = "true" if after is None else _AFTER if after.value is not None else _AFTER_NULL
    statement = _SEARCH.format(
        state=STATE,
        matches=matches,
        sort=wanted.sort,
        after=condition.format(sort=wanted.sort, type=_TYPES[wanted.sort]),
        shown=columns(),
        tables=TABLES,
    )
    least = None if wanted.min_stars is None else min(wanted.min_stars, _MOST)
    asked = (_text(wanted.language), least, wanted.limit + 1, min(wanted.offset, _MOST))
    place = () if after is None else _place(wanted.sort, after)
    row = await connection.fetchrow(statement, what, *asked, *place)
    assert row is not None
    counts, page = row["counts"] or (), row["page"] or ()
    listed = page[: wanted.limit]
    return Found(
        state_of(row),
        sum(count for _, _, count in counts),
        [shown(one) for one in listed],
        _languages(counts),
        _ranges(counts),
        After(listed[-1][wanted.sort], listed[-1]["number"])
        if len(page) > len(listed) > 0
        else None,
        alike and bool(counts),
    )


def _text(language: str | None) -> str | None:
    """Without NUL, which no text of PostgreSQL has."""
    return None if language is None else language.replace("\0", "")


def _place(sort: Sort, after: After) -> tuple[int | datetime | None, int]:
    """As parameters. Raises BadQuery."""
    value: int | datetime | None = after.value
    try:
        if sort == "updated" and after.value is not None:
            value = _EPOCH + timedelta(microseconds=after.value)
    except OverflowError as error:
        raise BadQuery("cursor", "no page ended there") from error
    if max(abs(after.value or 0), abs(after.number)) > _MOST:
        raise BadQuery("cursor", "no page ended there")
    return value, after.number


def _languages(counts: Sequence[tuple[str | None, int | None, int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for language, _, count in counts:
        if language is not None:
            found[language] = found.get(language, 0) + count
    return dict(sorted(found.items(), key=lambda one: (-one[1], one[0])))


def _ranges(counts: Sequence[tuple[str | None, int | None, int]]) -> dict[str, int]:
    found = dict.fromkeys(RANGES, 0)
    for _, place, count in counts:
        if place is not None:
            found[RANGES[place]] += count
    return found
