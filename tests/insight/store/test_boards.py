"""Boards of the best, beside the trend of each repository by itself and a plain sort."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.insight.store.world import DAYS, LANGUAGES, World
from tests.insight.stores import Line, take, write
from uaitools.insight.store.boards import Ask, Board, Boards
from uaitools.insight.store.opening import Store
from uaitools.insight.store.trends import told
from uaitools.insight.trending.window import Window

DAY = date(2024, 2, 11)


def names(board: Board) -> list[str]:
    return [one["full_name"] for one in board.repositories]


async def test_boards_are_those_of_all_rows_now_and_of_any_day(
    store: Store, tmp_path: Path
) -> None:
    world = World(seed=11, repositories=168)
    await take(store, *world.write(tmp_path))
    boards, chance = Boards(store.pool), world.random
    flagged = 0
    for at in range(80):
        ask = Ask(
            "trending",
            list(Window)[at % 4],
            chance.choice([*LANGUAGES, None, "COBOL"]),
            chance.choice((1, 5, 50, 100)),
            None if at < 40 else chance.choice([*DAYS[1:], DAYS[4] + timedelta(3)]),
            chance.random() < 0.4,
        )
        as_of = max(day for day in DAYS if ask.as_of is None or day <= ask.as_of)
        expected = world.trending(as_of, ask.timeframe, ask.language, clean=ask.exclude_flagged)[
            : ask.limit
        ]
        board = await boards.board(ask)
        assert names(board) == [name for name, _ in expected], ask
        assert board.as_of == as_of
        known = {one.name: one for one in world.known(as_of)}
        for rank, (one, (name, trend)) in enumerate(
            zip(board.repositories, expected, strict=True), 1
        ):
            assert one["rank"] == rank
            assert one["score"] == trend.score
            assert one["terms"] == told(trend)
            assert one["flags"] == list(trend.flags)
            assert (one["stars"], one["forks"]) == (known[name].stars, known[name].forks)
            assert one["as_of"] == str(known[name].day)
            assert one["trending_score"] == world.trend(name, as_of, Window.WEEK).shown
            flagged += "loss" in trend.flags
    assert flagged > 10


async def test_popular_is_the_last_count_up_to_the_day(store: Store, tmp_path: Path) -> None:
    world = World(seed=12, repositories=168)
    await take(store, *world.write(tmp_path))
    boards = Boards(store.pool)
    for as_of in (None, *DAYS, DAYS[4] + timedelta(2)):
        day = max(one for one in DAYS if as_of is None or one <= as_of)
        for language in LANGUAGES:
            board = await boards.board(Ask("popular", language=language, as_of=as_of))
            expected = world.popular(day, language)[:50]
            shown = [(one["full_name"], one["score"], one["as_of"]) for one in board.repositories]
            assert shown == [(one.name, one.stars, str(one.day)) for one in expected]
            assert (board.as_of, board.span) == (day, None)


async def test_a_board_of_the_past_is_what_it_was_then(store: Store, tmp_path: Path) -> None:
    world = World(seed=13)
    paths = dict(zip(DAYS, world.write(tmp_path), strict=True))
    boards, then = Boards(store.pool), {}

    async def all_boards(as_of: date | None) -> Sequence[bytes]:
        asked = [Ask("trending", window, as_of=as_of, limit=100) for window in Window]
        asked.append(Ask("trending", language="Go", as_of=as_of, exclude_flagged=True))
        asked.append(Ask("popular", as_of=as_of, limit=100))
        return [text(await boards.board(ask)) for ask in asked]

    for day in DAYS:
        await take(store, paths[day])
        if day in DAYS[3::3]:
            then[day] = await all_boards(None)
    for day, kept in then.items():
        assert await all_boards(day) == kept
        assert await all_boards(None) == then[DAYS[-1]]


def text(board: Board) -> bytes:
    """All but the generation, byte by byte."""
    return orjson.dumps([board.as_of, board.span, list(board.repositories)])


async def test_the_same_data_makes_the_same_bytes_however_it_came(
    store: Store, tmp_path: Path
) -> None:
    world = World(seed=14)
    backwards = World(seed=14)
    for lines in backwards.lines.values():
        lines.reverse()
    (tmp_path / "b").mkdir()
    boards = Boards(store.pool)
    await take(store, *world.write(tmp_path))
    first = [text(await boards.board(Ask("trending", window))) for window in Window]
    async with store.pool.acquire() as connection:
        for table in ("files", "repositories", "names", "snapshots", "standings", "leaders"):
            await connection.execute(f"DELETE FROM {table}")
    for path in backwards.write(tmp_path / "b"):
        await take(store, path)
    assert [text(await boards.board(Ask("trending", window))) for window in Window] == first


async def test_ties_are_broken_by_stars_and_then_by_name(store: Store, tmp_path: Path) -> None:
    some = [*(f"a/n{at:03}" for at in range(150)), "B/x"]
    lines = [Line(name, 10, 1, "Go") for name in reversed(some)]
    other = [Line("z/more", 11, 1, "C")]
    await take(store, write(tmp_path, DAY, lines + other))
    later = write(tmp_path, DAY + timedelta(7), lines + other)
    await take(store, later)
    boards = Boards(store.pool)
    for ask in (Ask("popular", limit=100), Ask(limit=100)):
        board = await boards.board(ask)
        assert names(board) == ["z/more", *some[:99]]
    assert names(await boards.board(Ask("popular", language="C"))) == ["z/more"]
    assert len(names(await boards.board(Ask("popular", language="Go", limit=1000)))) == 100


async def test_a_language_of_few_has_its_board_beside_one_of_many(
    store: Store, tmp_path: Path
) -> None:
    many = [Line(f"a/n{at}", 1000 + at, 1, "Go") for at in range(300)]
    few = [Line("a/few", 1, 0, "Nim"), Line("a/none", 2, 0)]
    for day in (DAY, DAY + timedelta(7)):
        await take(store, write(tmp_path, day, many + few))
    boards = Boards(store.pool)
    for category in ("popular", "trending"):
        board = await boards.board(Ask(category, language="Nim"))
        assert names(board) == ["a/few"]


async def test_a_window_says_what_is_known_of_it(store: Store, tmp_path: Path) -> None:
    line = Line("a/b", 5, 1)
    for gone in (20, 9, 3, 0):
        await take(store, write(tmp_path, DAY - timedelta(gone), [line]))
    board = await Boards(store.pool).board(Ask("trending", Window.WEEK))
    span = board.span
    assert span is not None
    assert (span.begin, span.end) == (DAY - timedelta(9), DAY)
    assert (span.window_actual, span.coverage, span.missing) == (9, 1.0, 5)


async def test_what_left_the_source_has_lost_nothing(store: Store, tmp_path: Path) -> None:
    stays, leaves = Line("a/stays", 5, 1), Line("a/leaves", 500, 1)
    await take(store, write(tmp_path, DAY, [stays, leaves]))
    await take(store, write(tmp_path, DAY + timedelta(1), [stays]))
    board = await Boards(store.pool).board(Ask("popular"))
    shown = [(one["full_name"], one["stars"], one["as_of"]) for one in board.repositories]
    assert shown == [("a/leaves", 500, "2024-02-11"), ("a/stays", 5, "2024-02-12")]
    flags = await _flags(store)
    assert flags == {"a/stays": ["thin_data"]}  # the other has no second day


async def _flags(store: Store) -> Mapping[str, Any]:
    board = await Boards(store.pool).board(Ask("trending", Window.WEEK))
    return {one["full_name"]: one["flags"] for one in board.repositories}


@pytest.mark.parametrize("as_of", [None, DAY])
async def test_before_the_first_import_there_is_nothing(store: Store, as_of: date | None) -> None:
    for category in ("trending", "popular", "quality"):
        board = await Boards(store.pool).board(Ask(category, as_of=as_of))
        assert (board.state.generation, board.as_of, board.repositories) == (0, None, [])
        assert (board.span, list(board.sources)) == (None, [])


async def test_before_the_first_day_there_is_nothing(store: Store, tmp_path: Path) -> None:
    await take(store, write(tmp_path, DAY, [Line("a/b", 5, 1)]))
    for category in ("trending", "popular"):
        board = await Boards(store.pool).board(Ask(category, as_of=DAY - timedelta(1)))
        assert (board.as_of, board.repositories) == (None, [])
