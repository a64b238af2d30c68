"""The trends of all repositories as of the newest day, and the best of each board."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import TYPE_CHECKING, Final

import numpy as np
import orjson

from uaitools.insight.importing.staging import Tell
from uaitools.insight.store.boards import MOST
from uaitools.insight.store.past import QUALITY
from uaitools.insight.store.shown import KEY
from uaitools.insight.store.trends import NOBODY, Contenders, Scored, Trending, contenders, told
from uaitools.insight.trending.window import Window

if TYPE_CHECKING:
    from uaitools.postgres.access import Connection

_SCORES: Final = ("repository", "trending")
_COLUMNS: Final = ("board", "repository", "score", "stars", "flagged", "terms")
_TABLE: Final = """
    CREATE TEMPORARY TABLE contenders (
        board text, repository integer, score float8, stars float8, flagged boolean, terms text
    ) ON COMMIT DROP
"""
# Who is even with the last one is in: ties are broken below, for all boards alike.
_POPULAR: Final = f"""
    INSERT INTO contenders
    SELECT 'popular', repository, stars, stars, false,
        jsonb_build_object('stars', stars, 'day', last_day)::text
    FROM (SELECT repository, stars, last_day,
            rank() OVER (ORDER BY stars DESC) AS everywhere,
            rank() OVER (PARTITION BY language ORDER BY stars DESC) AS here
        FROM standings WHERE stars IS NOT NULL) AS ranked
    WHERE everywhere <= {MOST} OR here <= {MOST}
"""
_QUALITY: Final = f"""
    INSERT INTO contenders
    SELECT 'quality', ranked.repository, quality, NULL, false, {QUALITY}::text
    FROM (SELECT number AS repository, quality, rank() OVER (ORDER BY quality DESC) AS everywhere,
            rank() OVER (PARTITION BY language ORDER BY quality DESC) AS here
        FROM repositories JOIN standings ON repository = number WHERE quality IS NOT NULL) AS ranked
        CROSS JOIN LATERAL (SELECT * FROM analyses WHERE analyses.repository = ranked.repository
            ORDER BY day DESC LIMIT 1) AS latest
    WHERE everywhere <= {MOST} OR here <= {MOST}
"""
_LEADERS: Final = f"""
    INSERT INTO leaders (board, repository, place, language, score, flagged, terms)
    SELECT board, contenders.repository, row_number() OVER (PARTITION BY board
            ORDER BY score DESC, contenders.stars DESC NULLS LAST, {KEY}),
        language, score, flagged, terms::jsonb
    FROM contenders JOIN repositories ON number = contenders.repository
        JOIN standings ON standings.repository = number
"""


async def lead(connection: Connection, as_of: date | None, tell: Tell) -> None:
    """Make all boards anew. as_of: the newest day of data."""
    await connection.execute(_TABLE)
    if as_of is not None:
        tell(f"trends as of {as_of}")
        await connection.execute("DELETE FROM scores")
        await _trending(connection, as_of)
    await connection.execute(f"{_POPULAR}; {_QUALITY}; DELETE FROM leaders; {_LEADERS}")


async def lead_quality(connection: Connection) -> None:
    """Make the board of quality anew."""
    await connection.execute(_TABLE)
    await connection.execute(f"{_QUALITY}; DELETE FROM leaders WHERE board = 'quality'; {_LEADERS}")


async def _trending(connection: Connection, as_of: date) -> None:
    best = dict.fromkeys(Window, NOBODY)
    trending = Trending(connection, as_of, list(Window))
    async for some in trending.all():
        await connection.copy_records_to_table("scores", records=_scores(some), columns=_SCORES)
        for window in Window:
            best[window] = contenders(best[window], some, window, MOST)
    numbers = np.unique(np.concatenate([one.numbers for one in best.values()]))
    async for some in trending.of(numbers):
        await connection.copy_records_to_table(
            "contenders", records=_contending(some, best), columns=_COLUMNS
        )


def _scores(scored: Scored) -> Iterator[tuple[int, float]]:
    """Of the week, where they are known."""
    score = scored.of[Window.WEEK].score
    known = ~np.isnan(score)
    return zip(scored.numbers[known].tolist(), score[known].tolist(), strict=True)


def _contending(
    scored: Scored, best: Mapping[Window, Contenders]
) -> Iterator[tuple[str, int, float, float, bool, str]]:
    for window, trends in scored.of.items():
        among = np.isin(scored.numbers, best[window].numbers)
        for at in np.flatnonzero(among).tolist():
            trend = trends[at]
            assert trend.score is not None
            assert trend.stars is not None
            assert trend.gain is not None
            stars = float(trend.stars + trend.gain)
            yield (
                window.value, int(scored.numbers[at]), trend.score, stars, trend.flagged,
                orjson.dumps(told(trend)).decode(),
            )  # fmt: skip
