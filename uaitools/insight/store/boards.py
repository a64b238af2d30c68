"""The best repositories: trending in a window of time, popular, or well kept.

The newest boards are kept, and made with each import. One of a day in the past is made when it is
asked for, and is what was kept on that day.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Final, Literal

from uaitools.insight.store.days import DAYS, Span, since, span
from uaitools.insight.store.generations import STATE, State, state_of
from uaitools.insight.store.past import Past
from uaitools.insight.store.shown import TABLES, columns, shown
from uaitools.insight.trending.window import Window
from uaitools.postgres.pool import Pool

if TYPE_CHECKING:
    from uaitools.postgres.access import Connection

Category = Literal["trending", "popular", "quality"]
MOST: Final = 100
"""Repositories of a board that are kept, and asked for at most."""

_KEPT: Final = f"""
    WITH state AS ({STATE}),
    chosen AS (
        SELECT place, repository, score, terms FROM leaders
        WHERE board = $1 AND NOT (flagged AND $3)
            AND ($2::text IS NULL OR language = (SELECT number FROM languages WHERE name = $2))
        ORDER BY place LIMIT $4
    ),
    listed AS (
        SELECT place, score, terms, {columns()}
        FROM chosen JOIN ({TABLES}) ON repositories.number = chosen.repository
    )
    SELECT state.*, (SELECT max(day) FROM analyses) AS analysed,
        (SELECT json_agg(listed ORDER BY place) FROM listed) AS listed,
        ({DAYS} state.as_of - $5::integer AND state.as_of) AS days
    FROM state
"""
_KNOWN: Final = "SELECT max(day) FROM files WHERE day <= $1"
_ANALYSED: Final = "SELECT max(day) FROM analyses WHERE day <= $1"
_DAYS: Final = f"{DAYS} $1 AND $2"


@dataclass(frozen=True, slots=True)
class Ask:
    """A board. timeframe: of trending. language: as the source writes it. limit: 1 to MOST.

    as_of: the newest day of data up to that one counts; None: the newest. exclude_flagged: of
    trending; those whose trend is suspect are left out, see `trending.trend.SUSPECT`.
    """

    category: Category = "trending"
    timeframe: Window = Window.WEEK
    language: str | None = None
    limit: int = 50
    as_of: date | None = None
    exclude_flagged: bool = False

    @property
    def board(self) -> str:
        """The name that it is kept under."""
        return self.timeframe.value if self.category == "trending" else self.category


@dataclass(frozen=True, slots=True)
class Board:
    """An answer. as_of: the day of data, None before the first one. sources: who told of it.

    repositories: the best first, each as in `shown` with `rank` from 1, `score`, `flags` and
    `terms`, what the score is made of. span: what is known of the window; None where there is none.
    """

    state: State
    as_of: date | None
    sources: Sequence[str]
    repositories: Sequence[Mapping[str, Any]]
    span: Span | None


class Boards:
    """Boards of the best."""

    __slots__ = ("_past", "_pool")

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._past = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<Boards {self._pool!r}>"

    async def board(self, ask: Ask) -> Board:
        """The board. Raises DatabaseAway and PoolExhausted.

        One of the past is made of all snapshots that bear on it, one at a time: with a million
        repositories that takes seconds.
        """
        async with self._pool.acquire() as connection:
            board, newest = await _kept(connection, ask)
        if ask.as_of is None or newest is None or ask.as_of >= newest:
            return board
        async with (
            self._past,
            self._pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            return await _past(connection, ask)


async def _kept(connection: Connection, ask: Ask) -> tuple[Board, date | None]:
    """The board that is kept, and of which day it is."""
    back = (date.max - since(date.max, ask.timeframe)).days
    row = await connection.fetchrow(
        _KEPT, ask.board, ask.language, ask.exclude_flagged, min(ask.limit, MOST), back
    )
    assert row is not None
    state, listed = state_of(row), row["listed"] or ()
    as_of = row["analysed"] if ask.category == "quality" else state.as_of
    return _board(ask, state, as_of, row["days"], listed), as_of


async def _past(connection: Connection, ask: Ask) -> Board:
    """The board of a day that has been."""
    state = await connection.fetchrow(STATE)
    assert state is not None
    known = _ANALYSED if ask.category == "quality" else _KNOWN
    day: date | None = await connection.fetchval(known, ask.as_of)
    if day is None:
        return _board(ask, state_of(state), None, (), ())
    past = Past(connection, day, ask.language, min(ask.limit, MOST))
    if ask.category == "trending":
        listed = await past.trending(ask.timeframe, exclude_flagged=ask.exclude_flagged)
    else:
        listed = await (past.popular() if ask.category == "popular" else past.quality())
    days = await connection.fetchval(_DAYS, since(day, ask.timeframe), day)
    return _board(ask, state_of(state), day, days, listed)


def _board(
    ask: Ask,
    state: State,
    as_of: date | None,
    days: Sequence[date],
    listed: Sequence[Mapping[str, Any]],
) -> Board:
    sources = state.sources if ask.category != "quality" else ("git",) if as_of else ()
    return Board(
        state,
        as_of,
        sources,
        [_ranked(rank, one) for rank, one in enumerate(listed, 1)],
        span(days, as_of, ask.timeframe) if ask.category == "trending" and as_of else None,
    )


def _ranked(rank: int, one: Mapping[str, Any]) -> dict[str, Any]:
    terms = dict(sorted(one["terms"].items()))  # JSON that was kept has them in another order
    why = {"flags": terms.get("flags", []), "terms": terms}
    return {"rank": rank, "score": float(one["score"]), **shown(one), **why}
