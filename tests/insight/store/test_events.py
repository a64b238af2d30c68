"""Reports of the analysing service: each once, in an order that a reader can go on from."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.insight.stores import Line, take, write
from uaitools.insight.errors import UnknownRepository
from uaitools.insight.store.events import Events, Recorded, Report
from uaitools.insight.store.opening import Store
from uaitools.insight.store.repositories import Repositories

AT = datetime(2024, 2, 10, 12, 30, tzinfo=UTC)


@pytest.fixture
async def events(store: Store, tmp_path: Path) -> Events:
    await take(store, write(tmp_path, date(2024, 2, 11), [Line("a/b", 5), Line("a/c", 6)]))
    return Events(store.pool)


def report(
    kind: str = "analysis_completed", of: str | None = "a/b", name: UUID | None = None, **data: Any
) -> Report:
    return Report(name or uuid4(), kind, of, AT, data)


async def test_a_report_is_read_as_it_was_made(events: Events, store: Store) -> None:
    made = report(insights_added=5, analysis_duration="4m32s")
    assert await events.record(made) == Recorded(1, new=True)
    (one,) = await events.since(0, 10)
    summary = await Repositories(store.pool).summary("a/b")
    assert (one.number, one.id, one.type, one.at) == (1, made.id, "analysis_completed", AT)
    assert (one.repository_id, one.data) == (summary.id, made.data)
    assert (summary.analysis_status, summary.insight_count) == ("completed", 5)
    assert summary.analysed_at == AT


async def test_a_report_that_is_sent_again_is_one(events: Events, store: Store) -> None:
    made = report(insights_added=5)
    await events.record(made)
    assert await events.record(made) == Recorded(1, new=False)
    assert (await Repositories(store.pool).summary("a/b")).insight_count == 5
    assert len(await events.since(0, 10)) == 1


async def test_readers_go_on_and_choose_a_repository(events: Events) -> None:
    for of in ("a/b", "A/C", None, "a/b"):
        await events.record(report("noted", of))
    assert await events.newest() == 4
    assert [one.number for one in await events.since(1, 2)] == [2, 3]
    assert [one.number for one in await events.since(0, 9, repository="A/B")] == [1, 4]
    assert await events.since(4, 9) == []
    assert [one.repository_id is None for one in await events.since(0, 9)] == [
        False,
        False,
        True,
        False,
    ]


async def test_who_reads_on_misses_none_of_many_at_once(events: Events) -> None:
    seen: list[int] = []

    async def read() -> None:
        while len(seen) < 40:
            seen.extend(one.number for one in await events.since(seen[-1] if seen else 0, 7))
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        group.create_task(read())
        for _ in range(40):
            group.create_task(events.record(report()))
    assert seen == list(range(1, 41))


async def test_a_state_follows_from_what_is_reported(events: Events, store: Store) -> None:
    repositories = Repositories(store.pool)
    for kind, data, status, count in (
        ("analysis_started", {}, "running", 0),
        ("analysis_failed", {"insights_added": 9}, "failed", 0),
        ("analysis_completed", {"insights_added": "9"}, "completed", 0),
        ("analysis_completed", {"insights_added": -9}, "completed", 0),
        ("analysis_completed", {"insights_added": 2**62}, "completed", 0),
        ("analysis_completed", {"insights_added": 2}, "completed", 2),
        ("else", {"insights_added": 2}, "completed", 2),
    ):
        await events.record(report(kind, **data))
        summary = await repositories.summary("a/b")
        assert (summary.analysis_status, summary.insight_count) == (status, count)


async def test_nothing_is_recorded_of_what_is_not_there(events: Events) -> None:
    with pytest.raises(UnknownRepository):
        await events.record(report(of="a/nobody"))
    with pytest.raises(UnknownRepository):
        await events.since(0, 9, repository=str(uuid4()))
    assert await events.newest() == 0
