"""What the analysing service reports."""

from __future__ import annotations

import asyncio
from datetime import date
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.insight.api.served import AUTH, Answer, Served, serving, token
from tests.insight.stores import Line
from uaitools.insight.store.opening import Store

DAY = date(2024, 2, 11)
COMPLETED = {
    "type": "analysis_completed",
    "repository_id": "pallets/flask",
    "timestamp": "2026-01-02T03:04:05Z",
    "data": {"insights_added": 5, "analysis_duration": "4m32s"},
}


async def report(insight: Served, body: object, **headers: str) -> Answer:
    return await insight.ask("/api/v1/events", method="POST", body=body, **headers)


@pytest.fixture
async def one(insight: Served) -> Served:
    await insight.take(DAY, [Line("pallets/flask", 60)])
    return insight


async def test_a_report_is_written_and_seen_at_once(one: Served) -> None:
    before = (await one.summary("pallets%2Fflask")).body
    assert (await report(one, {**COMPLETED, "type": "analysis_started"})).status == 201
    assert (await one.summary("pallets%2Fflask")).body["analysis_status"] == "running"
    done = await report(one, {**COMPLETED, "repository_id": before["id"]})
    assert (done.status, done.body["number"], done.body["new"]) == (201, 2, True)
    told = (await one.summary("pallets%2Fflask")).body
    assert (told["analysis_status"], told["insight_count"]) == ("completed", 5)
    assert told["analysed_at"] == "2026-01-02T03:04:05Z"
    (_, event) = await one.service.events.since(0, 10)
    assert str(event.repository_id) == before["id"]
    assert event.data == COMPLETED["data"]


async def test_a_report_that_is_sent_again_is_one(one: Served) -> None:
    said = {**COMPLETED, "id": str(uuid4())}
    answers = await asyncio.gather(*(report(one, said) for _ in range(8)))
    assert sorted(answer.status for answer in answers) == [200] * 7 + [201]
    assert {(answer.body["id"], answer.body["number"]) for answer in answers} == {(said["id"], 1)}
    assert (await one.summary("pallets%2Fflask")).body["insight_count"] == 5


async def test_reports_at_once_are_all_seen(one: Served) -> None:
    await asyncio.gather(*(report(one, COMPLETED) for _ in range(40)))
    assert (await one.summary("pallets%2Fflask")).body["insight_count"] == 200


async def test_what_is_of_no_repository_may_be_reported(one: Served) -> None:
    answer = await report(one, {"type": "trends_refreshed"})
    assert answer.status == 201
    assert [event.repository_id for event in await one.service.events.since(0, 10)] == [None]


@pytest.mark.parametrize(
    ("changed", "status", "field"),
    [
        ({"repository_id": "nobody/nothing"}, 404, None),
        ({"repository_id": "x" * 201}, 422, "repository_id"),
        ({"repository_id": "a\nb/c"}, 422, "repository_id"),
        ({"type": "Analysis Completed"}, 422, "type"),
        ({"type": None}, 422, "type"),
        ({"timestamp": "2026-01-02T03:04:05"}, 422, "timestamp"),
        ({"timestamp": "0001-01-01T00:00:00+14:00"}, 422, "timestamp"),
        ({"data": {"a": "\0"}}, 422, "data"),
        ({"data": {"a": "x" * 17_000}}, 422, "data"),
        ({"data": {"a": 10**30}}, 422, "data"),
        ({"data": []}, 422, "data"),
        ({"id": "1"}, 422, "id"),
        ({"more": 1}, 422, "more"),
    ],
)
async def test_what_is_wrong_is_named(
    one: Served, changed: dict[str, Any], status: int, field: str | None
) -> None:
    answer = await report(one, {**COMPLETED, **changed})
    assert answer.status == status
    assert answer.body["error"] == answer.body["message"]
    assert [one["field"] for one in answer.body.get("details", [])] == ([field] if field else [])
    assert await one.service.events.newest() == 0


async def test_a_backslash_before_a_u_is_no_nul(one: Served) -> None:
    said = {**COMPLETED, "data": {"path": "C:\\u0000", "nan": "NaN"}}
    assert (await report(one, said)).status == 201
    assert (await one.service.events.since(0, 1))[0].data == said["data"]


async def test_it_needs_the_scope(store: Store, tmp_path: Path) -> None:
    async with serving(store, tmp_path, auth=AUTH) as insight:
        await insight.take(DAY, [Line("pallets/flask", 60)])
        assert (await report(insight, COMPLETED)).status == 401
        assert (await report(insight, COMPLETED, Authorization=token())).status == 403
        good = token("analyser", scope="insight:report")
        assert (await report(insight, COMPLETED, Authorization=good)).status == 201
