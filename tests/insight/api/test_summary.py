"""One repository, and how its copies are kept."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from tests.insight.api.served import AUTH, Answer, Served, serving, token
from tests.insight.stores import Line
from tests.peers.gateways import eventually, settled
from uaitools.insight.store.events import Report
from uaitools.insight.store.opening import Store

FIRST, SECOND = date(2024, 2, 11), date(2024, 2, 12)
FLASK = Line(
    "pallets/flask", 60, 20, "Python", "a web framework", datetime(2024, 2, 10, tzinfo=UTC)
)


async def id_of(insight: Served, name: str = "pallets%2Fflask") -> str:
    answer = await insight.summary(name)
    assert answer.status == 200, answer
    told: str = answer.body["id"]
    return told


def reported(which: str, added: int = 5) -> Report:
    data = {"insights_added": added, "analysis_duration": "4m32s"}
    return Report(uuid4(), "analysis_completed", which, datetime.now(UTC), data)


async def test_a_repository_is_told_by_its_id_and_by_its_name(insight: Served) -> None:
    await insight.take(FIRST, [FLASK])
    name = await insight.summary("pallets%2Fflask")
    told = name.body
    assert (name.status, name.headers["Content-Type"]) == (200, "application/json")
    assert {key: told[key] for key in ("name", "full_name", "language", "stars", "forks")} == {
        "name": "flask",
        "full_name": "pallets/flask",
        "language": "Python",
        "stars": 60,
        "forks": 20,
    }
    assert told["last_updated"] == "2024-02-10T00:00:00Z"
    assert (told["analysis_status"], told["insight_count"]) == ("none", 0)
    assert (told["as_of"], told["source"]) == ("2024-02-11", "github-ranking")
    assert told["trending_score"] is None  # one day says nothing of a trend, and that is not 0
    for which in (told["id"], told["id"].upper(), "PALLETS%2fflask", "pallets%2Ffl%61sk"):
        assert (await insight.summary(which)).raw == name.raw


async def test_answers_say_where_they_came_from_and_how_long_they_are_good(
    insight: Served,
) -> None:
    await insight.take(FIRST, [FLASK])
    answers = [await insight.summary("pallets%2Fflask") for _ in range(3)]
    assert [one.cache for one in answers] == ["MISS", "HIT", "HIT"]
    for one in answers:
        assert one.headers["Cache-Control"] == "max-age=300"
        assert one.headers["Age"] == "0"
        assert one.headers["ETag"] == answers[0].headers["ETag"]
        assert one.headers["ETag"].startswith('"')
    other = await insight.summary(answers[0].body["id"])
    assert other.cache == "HIT"


@pytest.mark.parametrize("sent", ["{tag}", "W/{tag}", '"x", {tag}', "*"])
async def test_who_has_it_already_is_not_sent_it_again(insight: Served, sent: str) -> None:
    await insight.take(FIRST, [FLASK])
    whole = await insight.summary("pallets%2Fflask")
    tag = whole.headers["ETag"]
    for _ in range(2):
        same = await insight.summary("pallets%2Fflask", If_None_Match=sent.format(tag=tag))
        assert (same.status, same.raw, same.headers["ETag"]) == (304, b"", tag)
        assert same.headers["Cache-Control"] == "max-age=300"
        assert same.cache == "HIT"
    other = await insight.summary("pallets%2Fflask", If_None_Match='"other"')
    assert (other.status, other.raw) == (200, whole.raw)


async def test_who_wants_it_newer_gets_it_newer(insight: Served) -> None:
    await insight.take(FIRST, [FLASK])
    assert (await insight.summary("pallets%2Fflask")).cache == "MISS"
    assert (await insight.summary("pallets%2Fflask", Cache_Control="max-age=60")).cache == "HIT"
    for said in ("no-cache", "no-store", "max-age=60, no-cache"):
        assert (await insight.summary("pallets%2Fflask", Cache_Control=said)).cache == "MISS"
    assert (await insight.summary("pallets%2Fflask", Cache_Control="max-age=0")).cache == "MISS"
    assert (await insight.summary("pallets%2Fflask")).cache == "HIT"


async def test_an_import_is_seen_at_once(insight: Served) -> None:
    await insight.take(FIRST, [FLASK])
    before = await insight.summary("pallets%2Fflask")
    await insight.take_quietly(SECOND, [Line("pallets/flask", 61, 20, "Python")])
    after = await seen(insight, before)
    assert (after.cache, after.body["stars"], after.body["as_of"]) == ("MISS", 61, "2024-02-12")
    assert after.headers["ETag"] != before.headers["ETag"]


async def seen(insight: Served, before: Answer) -> Answer:
    """The first answer that is another one."""
    answers = [before]

    async def differs() -> bool:
        answers.append(await insight.summary("pallets%2Fflask"))
        return answers[-1].raw != before.raw

    await settled(differs)
    return answers[-1]


async def test_a_repository_that_left_the_source_keeps_the_counts_of_its_last_day(
    insight: Served,
) -> None:
    await insight.take(FIRST, [FLASK])
    await insight.take(SECOND, [Line("other/one", 1)])
    told = (await insight.summary("pallets%2Fflask")).body
    assert (told["stars"], told["as_of"], told["data_as_of"]) == (60, "2024-02-11", "2024-02-12")


async def test_a_report_is_seen_by_who_asks_after_it(insight: Served) -> None:
    await insight.take(FIRST, [FLASK, Line("other/one", 1)])
    repository = await id_of(insight)
    await insight.summary("other%2Fone")
    for expected in (5, 10):
        await insight.service.report(reported(repository))
        told = await insight.summary("pallets%2Fflask")
        assert (told.cache, told.body["insight_count"]) == ("MISS", expected)
        assert told.body["analysis_status"] == "completed"
        assert (await insight.summary("other%2Fone")).cache == "HIT"


async def test_a_report_to_another_process_is_seen_here(store: Store, tmp_path: Path) -> None:
    async with serving(store, tmp_path) as one, serving(store, tmp_path) as other:
        await one.take(FIRST, [FLASK])
        await eventually(lambda: other.service.following.state.generation == 1)
        before = await other.summary("pallets%2Fflask")
        await one.service.report(reported("pallets/flask"))
        assert (await seen(other, before)).body["insight_count"] == 5


async def test_what_is_not_heard_is_found_out(store: Store, tmp_path: Path) -> None:
    async with serving(store, tmp_path) as insight:
        await insight.take(FIRST, [FLASK])
        await insight.service.notices.stop()
        before = await insight.summary("pallets%2Fflask")
        await insight.take_quietly(SECOND, [Line("pallets/flask", 61)])
        assert (await seen(insight, before)).body["stars"] == 61


@pytest.mark.parametrize(
    ("which", "status"),
    [
        ("00000000-0000-4000-8000-000000000000", 404),
        ("nobody%2Fnothing", 404),
        ("nobody", 404),
        ("%F0%9F%92%A9%2Fx", 404),
        ("%FF%FE%2Fx", 404),
        ("a%0Ab%2Fx", 404),
        ("a%2F" + "x" * 4000, 404),
        ("%7B00000000-0000-4000-8000-000000000000%7D", 404),
        ("a%00b%2Fx", 400),
        ("a%2F..", 400),
        ("a/b", 404),
    ],
)
async def test_what_is_not_there_is_told_in_the_house_s_shape(
    insight: Served, which: str, status: int
) -> None:
    answer = await insight.summary(which)
    assert (answer.status, answer.body["code"], answer.body["service"]) == (
        status,
        status,
        "insight",
    )
    assert answer.body["error"] == answer.body["message"] != ""
    assert answer.body["request_id"]


async def test_parameters_are_refused(insight: Served) -> None:
    await insight.take(FIRST, [FLASK])
    answer = await insight.ask("/api/v1/fast/repositories/pallets%2Fflask/summary?x=1")
    assert (answer.status, answer.body["details"][0]["field"]) == (400, "x")


async def test_it_needs_a_token(store: Store, tmp_path: Path) -> None:
    async with serving(store, tmp_path, auth=AUTH) as insight:
        await insight.take(FIRST, [FLASK])
        refused = await insight.summary("pallets%2Fflask")
        assert (refused.status, refused.body["error"]) == (401, refused.body["message"])
        wrong = await insight.summary("pallets%2Fflask", Authorization="Bearer x.y.z")
        assert wrong.status == 401
        told = await insight.summary("pallets%2Fflask", Authorization=token())
        assert (told.status, told.body["stars"]) == (200, 60)


async def test_head_and_other_methods(insight: Served) -> None:
    await insight.take(FIRST, [FLASK])
    path = "/api/v1/fast/repositories/pallets%2Fflask/summary"
    whole = await insight.ask(path)
    head = await insight.ask(path, method="HEAD")
    assert (head.status, head.raw, head.cache) == (200, b"", "HIT")
    assert head.headers["ETag"] == whole.headers["ETag"]
    assert head.headers["Content-Length"] == str(len(whole.raw))
    other = await insight.ask(path, method="POST")
    assert (other.status, other.headers["Allow"]) == (405, "GET, HEAD")


async def test_a_thousand_at_once_make_one_query(insight: Served) -> None:
    await insight.take(FIRST, [FLASK])
    repository = await id_of(insight)
    await insight.service.report(reported(repository))  # nothing is kept of it
    async with insight.store.database.owned() as connection:
        async with connection.transaction():
            await connection.execute("LOCK standings IN ACCESS EXCLUSIVE MODE")
            asking = asyncio.gather(*(insight.summary(repository) for _ in range(1000)))
            await eventually(lambda: under_way() == 1000)
            waiting = await connection.fetchval(_WAITING)
        answers = await asking
    assert waiting == 1
    assert {one.status for one in answers} == {200}
    assert len({one.raw for one in answers}) == 1
    outcomes = Counter(one.cache for one in answers)
    assert outcomes["MISS"] == 1
    assert outcomes["COALESCED"] > 900


def under_way() -> int:
    """Requests that wait for an answer."""
    return sum(task.get_name() == "answer of insight" for task in asyncio.all_tasks())


_WAITING = "SELECT count(*) FROM pg_locks WHERE relation = 'standings'::regclass AND NOT granted"
