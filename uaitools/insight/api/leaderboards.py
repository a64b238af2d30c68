"""Leaderboards: what is asked for, how it is loaded, and how it is said."""

from __future__ import annotations

from typing import Any, Final, get_args

import orjson

from uaitools.errors import ServiceError
from uaitools.insight.api.freshness import dated, spanned
from uaitools.insight.api.parameters import Parameters
from uaitools.insight.api.searches import LANGUAGE
from uaitools.insight.copies import Copy, Wanted
from uaitools.insight.errors import SERVICE
from uaitools.insight.following import Following
from uaitools.insight.store.boards import MOST, Ask, Board, Boards, Category
from uaitools.insight.trending.window import Window

PATH: Final = "/api/v1/fast/leaderboard"
_KNOWN: Final = ("category", "timeframe", "language", "limit", "as_of", "explain", "exclude")
_CATEGORIES: Final[tuple[Category, ...]] = get_args(Category)
_PAST: Final = 8  # boards of the past under way: with a million repositories each takes seconds


class Leaderboards:
    """Boards of the best."""

    __slots__ = ("_boards", "_following", "_past")

    def __init__(self, boards: Boards, following: Following) -> None:
        self._boards = boards
        self._following = following
        self._past = 0

    def __repr__(self) -> str:
        return f"<Leaderboards {self._boards!r} past={self._past}>"

    async def wanted(self, path: str, query: str) -> Wanted:
        """See serving.Source. Raises BadQuery."""
        del path
        ask, explain = read(query)

        async def load() -> Copy:
            return Copy.of(_document(ask, await self._board(ask), explain=explain))

        parts = [ask.board, ask.timeframe, ask.language, ask.limit, ask.as_of]
        text = orjson.dumps([*parts, ask.exclude_flagged, explain]).decode()
        return Wanted(f"leaderboard {text}", load)

    async def _board(self, ask: Ask) -> Board:
        """One of the past only where few others are being made."""
        newest = self._following.state.as_of
        if ask.as_of is None or newest is None or ask.as_of >= newest:
            return await self._boards.board(ask)
        if self._past >= _PAST:
            message = "too many leaderboards of the past are being made; try again"
            raise ServiceError(503, message, SERVICE, retry_after=2)
        self._past += 1
        try:
            return await self._boards.board(ask)
        finally:
            self._past -= 1


def read(query: str) -> tuple[Ask, bool]:
    """What a query asks for, and whether with its reasons. Raises BadQuery."""
    given = Parameters(query, _KNOWN)
    exclude = given.one_of("exclude", ("flagged", ""), "")
    ask = Ask(
        given.one_of("category", _CATEGORIES, "trending"),
        given.one_of("timeframe", tuple(Window), Window.WEEK),
        given.text("language", LANGUAGE),
        given.limit(50, MOST),
        given.day("as_of"),
        exclude == "flagged",
    )
    return ask, given.flag("explain")


def _document(ask: Ask, board: Board, *, explain: bool) -> dict[str, Any]:
    """As answers.Leaderboard has it."""
    return {
        "category": ask.category,
        "timeframe": ask.timeframe,
        **dated(board.as_of, board.sources),
        **spanned(board.span),
        "repositories": [
            one if explain else {name: value for name, value in one.items() if name != "terms"}
            for one in board.repositories
        ],
    }
