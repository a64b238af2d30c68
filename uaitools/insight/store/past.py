"""Boards as they were on a day in the past, from the snapshots up to it.

Names, languages and descriptions are those of today: what they were is not kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from uaitools.insight.store.shown import KEY, TABLES, columns
from uaitools.insight.store.trends import NOBODY, Trending, contenders, taken, told
from uaitools.insight.trending.window import Window

if TYPE_CHECKING:
    from uaitools.insight.trending.trend import Trend
    from uaitools.postgres.access import Connection

QUALITY: Final = """
    jsonb_build_object('day', day, 'commit', commit, 'version', version, 'known', known,
        'checks', checks)
"""
"""The terms of a score of quality, from a row of `analyses`."""

_LANGUAGE: Final = """
    ($2::text IS NULL OR language = (SELECT number FROM languages WHERE languages.name = $2))
"""
_COUNTS: Final = """
    LATERAL (SELECT stars, forks, day FROM snapshots
        WHERE snapshots.repository = standings.repository AND day <= $1
        ORDER BY day DESC LIMIT 1) AS past
"""
_POPULAR: Final = f"""
    SELECT number, past.stars::float8 AS score,
        jsonb_build_object('stars', past.stars, 'day', past.day) AS terms
    FROM repositories JOIN standings ON repository = number CROSS JOIN {_COUNTS}
    WHERE first_day <= $1 AND past.stars IS NOT NULL AND {_LANGUAGE}
    ORDER BY past.stars DESC, {KEY} LIMIT $3
"""
_QUALITY: Final = f"""
    SELECT number, latest.score, {QUALITY} AS terms
    FROM (SELECT DISTINCT ON (repository) * FROM analyses WHERE day <= $1
            ORDER BY repository, day DESC) AS latest
        JOIN repositories ON number = latest.repository
        JOIN standings ON standings.repository = number
    WHERE latest.score IS NOT NULL AND {_LANGUAGE}
    ORDER BY latest.score DESC, {KEY} LIMIT $3
"""
_IN_ORDER: Final = f"""
    SELECT array_agg(number ORDER BY score DESC, wanted.stars DESC, {KEY}) FROM repositories
        JOIN unnest($1::integer[], $2::float8[], $3::float8[]) AS wanted (which, score, stars)
            ON which = number
"""
_SHOWN: Final = f"""
    WITH listed AS (
        SELECT place, {columns("past", "day")}
        FROM unnest($2::integer[]) WITH ORDINALITY AS wanted (which, place)
            JOIN ({TABLES}) ON repositories.number = which LEFT JOIN {_COUNTS} ON true
    )
    SELECT coalesce(json_agg(listed ORDER BY place), '[]') FROM listed
"""


@dataclass(frozen=True, slots=True)
class _Place:
    number: int
    score: float
    terms: Mapping[str, Any]


class Past:
    """Boards of a day, of what a transaction sees. language: None for all. limit: of places."""

    __slots__ = ("_connection", "_day", "_language", "_limit")

    def __init__(self, connection: Connection, day: date, language: str | None, limit: int) -> None:
        self._connection = connection
        self._day = day
        self._language = language
        self._limit = limit

    def __repr__(self) -> str:
        return f"<Past {self._day} {self._language} limit={self._limit}>"

    async def trending(
        self, window: Window, *, exclude_flagged: bool
    ) -> Sequence[Mapping[str, Any]]:
        """By their trends in a window up to the day."""
        language = await self._connection.fetchval(
            "SELECT number FROM languages WHERE name = $1", self._language
        )
        best = NOBODY
        async for some in Trending(self._connection, self._day, [window]).all():
            best = contenders(best, some, window, self._limit)
            if self._language is not None:
                best = taken(best, np.flatnonzero(best.languages == (language or -1)))
        if exclude_flagged:
            best = taken(best, np.flatnonzero(~best.flagged))
        arrays = (best.numbers.tolist(), best.scores.tolist(), best.stars.tolist())
        order = (await self._connection.fetchval(_IN_ORDER, *arrays) or [])[: self._limit]
        trends = await self._trends(order, window)
        return await self._shown(
            [_Place(one, trends[one].score or 0.0, told(trends[one])) for one in order]
        )

    async def popular(self) -> Sequence[Mapping[str, Any]]:
        """By their stars on the day, or on the last one before it that tells of them."""
        return await self._chosen(_POPULAR)

    async def quality(self) -> Sequence[Mapping[str, Any]]:
        """By the score of the last analysis up to the day."""
        return await self._chosen(_QUALITY)

    async def _chosen(self, statement: str) -> Sequence[Mapping[str, Any]]:
        rows = await self._connection.fetch(statement, self._day, self._language, self._limit)
        return await self._shown([_Place(*row) for row in rows])

    async def _shown(self, places: Sequence[_Place]) -> Sequence[Mapping[str, Any]]:
        """As they were shown then, with the trends of the week before."""
        numbers = [one.number for one in places]
        rows = await self._connection.fetchval(_SHOWN, self._day, numbers)
        trends = await self._trends(numbers, Window.WEEK)
        return [
            {
                **row,
                "score": place.score,
                "terms": place.terms,
                "trending_score": trends[place.number].shown if place.number in trends else None,
            }
            for row, place in zip(rows, places, strict=True)
        ]

    async def _trends(self, numbers: Sequence[int], window: Window) -> Mapping[int, Trend]:
        """Those that the source had told of by then."""
        trending = Trending(self._connection, self._day, [window])
        return {
            int(number): some.of[window][at]
            async for some in trending.of(np.array(numbers, np.int64))
            for at, number in enumerate(some.numbers)
        }
