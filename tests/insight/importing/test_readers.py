"""Readers while an import is under way: each answer is of one generation, and none waits."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.insight.stores import Line, take, write
from uaitools.insight.store.boards import Ask, Boards
from uaitools.insight.store.events import Events, Report
from uaitools.insight.store.opening import Store
from uaitools.insight.store.repositories import Repositories
from uaitools.insight.store.search import Search, Wanted
from uaitools.postgres.pool import Pool

DAY = date(2024, 2, 11)
AT = datetime(2024, 2, 11, tzinfo=UTC)
MANY = 3000


async def answers(pool: Pool) -> tuple[set[int], Mapping[str, Any]]:
    """What readers are told, and of which generations."""
    found = await Search(pool).search(Wanted("thing", limit=100))
    best = await Boards(pool).board(Ask("popular", limit=100))
    trending = await Boards(pool).board(Ask("trending", limit=100))
    summary = await Repositories(pool).summary("a/r7")
    told = {
        "total": found.total,
        "languages": found.languages,
        "ranges": found.ranges,
        "page": [dict(one) for one in found.repositories],
        "best": best.repositories,
        "trending": trending.repositories,
        "summary": (summary.stars, summary.description, summary.trending_score, summary.as_of),
    }
    states = (found.state, best.state, trending.state, summary.state)
    return {state.generation for state in states}, told


def lines(day: int) -> list[Line]:
    return [
        Line(f"a/r{at}", at * day, at, ("Go", "C")[(at + day) % 2], f"thing {day}")
        for at in range(MANY + 100 * day)
    ]


async def test_a_reader_sees_one_generation_and_does_not_wait(store: Store, tmp_path: Path) -> None:
    paths = [write(tmp_path, DAY + timedelta(day), lines(day)) for day in (1, 2, 3)]
    await take(store, paths[0])
    _, first = await answers(store.pool)
    importing = asyncio.get_running_loop().create_future()
    seen: list[tuple[set[int], Mapping[str, Any]]] = []

    async def read() -> None:
        while not importing.done():
            seen.append(await answers(store.pool))

    async def take_both() -> None:
        await take(store, *paths[1:])
        importing.set_result(None)

    async with asyncio.TaskGroup() as group:
        group.create_task(read())
        group.create_task(take_both())
    generations, second = await answers(store.pool)
    assert generations == {2}
    assert second != first
    for generations, told in seen:
        if len(generations) == 1:  # the four were asked one after another
            assert told == (first if generations == {1} else second)
    assert sum(generations == {1} for generations, _ in seen) > 3


async def test_a_report_does_not_wait_for_an_import(store: Store, tmp_path: Path) -> None:
    await take(store, write(tmp_path, DAY, lines(1)))
    events = Events(store.pool)
    reported: list[int] = []
    done = asyncio.Event()

    async def report() -> None:
        while not done.is_set():
            made = Report(uuid4(), "analysis_completed", "a/r7", AT, {"insights_added": 1})
            reported.append((await events.record(made)).number)

    async def take_more() -> None:
        before = len(reported)
        await take(store, write(tmp_path, DAY + timedelta(1), lines(2)))
        assert len(reported) > before + 3
        done.set()

    async with asyncio.TaskGroup() as group:
        group.create_task(report())
        group.create_task(take_more())
    summary = await Repositories(store.pool).summary("a/r7")
    assert summary.insight_count == len(reported)
