"""Searches and leaderboards as clients see them, beside a plain look at all rows."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.insight.api.served import AUTH, Answer, Served, serving, token
from tests.insight.store.world import (
    DAYS,
    LANGUAGES,
    QUERIES,
    World,
    languages_of,
    ranges_of,
)
from tests.insight.stores import Line, take
from uaitools.insight.store.opening import Store
from uaitools.insight.trending.window import Window

DAY = date(2024, 2, 11)


async def search(insight: Served, **asked: Any) -> Answer:
    given = {name: value for name, value in asked.items() if value is not None}
    return await insight.ask(f"/api/v1/fast/search?{urlencode(given)}")


async def board(insight: Served, **asked: Any) -> Answer:
    return await insight.ask(f"/api/v1/fast/leaderboard?{urlencode(asked)}")


def names(answer: Answer) -> list[str]:
    assert answer.status == 200, answer
    return [one["full_name"] for one in answer.body["repositories"]]


@pytest.fixture
async def world(insight: Served, tmp_path: Path) -> World:
    made = World(seed=11)
    await take(insight.store, *made.write(tmp_path))
    await insight.service.following.look()
    return made


@pytest.fixture
async def one(insight: Served) -> Served:
    await insight.take(DAY, [Line("pallets/flask", 60, 20, "Python", "a web framework")])
    return insight


async def test_totals_order_and_facets_are_those_of_all_rows(insight: Served, world: World) -> None:
    chance = world.random
    for at in range(120):
        query, language = chance.choice(QUERIES), chance.choice([*LANGUAGES, None, None])
        least, sort = chance.choice((None, None, 10, 100)), ("stars", "forks", "updated")[at % 3]
        limit, offset = chance.choice((3, 20, 500)), chance.choice((0, 0, 5))
        told = (query, language, least, sort, limit, offset)
        found = await search(
            insight, q=query, language=language, min_stars=least, sort=sort, limit=limit,
            offset=offset,
        )  # fmt: skip
        if not query.strip():
            assert found.status == 400
            continue
        expected = world.found(DAYS[-1], query, language, least, sort)
        if found.body["alike"]:
            assert expected == []
            continue
        assert found.body["total"] == len(expected), told
        shown = [one.name for one in expected][offset : offset + min(limit, 100)]
        assert names(found) == shown, told
        assert found.body["facets"]["languages"] == languages_of(expected)
        assert found.body["facets"]["star_ranges"] == ranges_of(expected)
        assert (found.body["as_of"], found.body["source"]) == (
            DAYS[-1].isoformat(),
            "github-ranking",
        )


async def test_a_cursor_leads_through_everything(insight: Served, world: World) -> None:
    for sort in ("stars", "updated"):
        expected = world.found(DAYS[-1], "a", None, None, sort)
        assert len(expected) > 14
        seen: list[str] = []
        cursor = None
        while True:
            page = await search(insight, q="a", sort=sort, limit=7, cursor=cursor)
            seen += names(page)
            assert page.body["total"] == len(expected)
            cursor = page.body["next"]
            if cursor is None:
                break
        assert seen == [one.name for one in expected]


async def test_a_cursor_of_another_query_is_refused(insight: Served, world: World) -> None:
    del world
    cursor = (await search(insight, q="a", limit=1)).body["next"]
    assert (await search(insight, q="A", limit=3, cursor=cursor)).status == 200
    for other in ({"q": "b"}, {"q": "a", "sort": "forks"}, {"q": "a", "min_stars": 1}):
        answer = await search(insight, cursor=cursor, **other)
        assert (answer.status, answer.body["details"][0]["field"]) == (400, "cursor")
    answer = await search(insight, q="a", cursor=cursor, offset=1)
    assert (answer.status, answer.body["details"][0]["field"]) == (400, "offset")


async def test_what_means_the_same_is_kept_once(one: Served) -> None:
    answers = [
        await one.ask(f"/api/v1/fast/search?{query}")
        for query in (
            "q=web+framework",
            "q=%20WEB%20%20Framework%20",
            "limit=20&q=web+framework&offset=0&sort=stars&language=",
            "q=web+framework&limit=21",
        )
    ]
    assert [answer.cache for answer in answers] == ["MISS", "HIT", "HIT", "MISS"]
    assert len({answer.raw for answer in answers}) == 1
    assert answers[0].headers["Cache-Control"] == "max-age=120"
    tag = answers[0].headers["ETag"]
    same = await one.ask("/api/v1/fast/search?q=web+framework", If_None_Match=tag)
    assert (same.status, same.raw, same.cache) == (304, b"", "HIT")


async def test_what_is_past_its_time_is_used_while_it_is_made_anew(
    store: Store, tmp_path: Path
) -> None:
    brief = {"search": 0.000001, "leaderboard": 1.5, "jitter": 0}
    async with serving(store, tmp_path, freshness=brief) as insight:
        answers = [await search(insight, q="flask") for _ in range(4)]
        assert [one.cache for one in answers] == ["MISS", "STALE", "STALE", "STALE"]
        assert {one.headers["Cache-Control"] for one in answers} == {"max-age=0"}
        assert (await board(insight)).headers["Cache-Control"] == "max-age=1"


async def test_fields_of_a_search(one: Served) -> None:
    (found,) = (await search(one, q="flask")).body["repositories"]
    assert found.pop("id")
    assert found == {
        "name": "flask",
        "full_name": "pallets/flask",
        "description": "a web framework",
        "language": "Python",
        "stars": 60,
        "forks": 20,
        "trending_score": None,
        "as_of": "2024-02-11",
        "source": "github-ranking",
    }


@pytest.mark.parametrize(
    "query",
    [
        "'; DROP TABLE repositories; --",
        "a' | 'b",
        "\\' & !a:*",
        "$1 $2 %s {} {0}",
        "&|!():*<->",
        "\ud7ff\U0001f4a9 \u202e\u0301" * 20,
        "\ufdfa" * 256,
        "a " * 128,
        "~abc #Go *3",
    ],
)
async def test_queries_that_are_made_to_be_something_else_are_words(
    one: Served, query: str
) -> None:
    answer = await search(one, q=query, language=query[:100])
    assert (answer.status, answer.body["total"]) == (200, 0)
    assert (await search(one, q="flask")).body["total"] == 1


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/api/v1/fast/search", "q"),
        ("/api/v1/fast/search?q=a&min_stars=many", "min_stars"),
        ("/api/v1/fast/search?q=a&offset=-1", "offset"),
        ("/api/v1/fast/leaderboard?category=worst", "category"),
        ("/api/v1/fast/leaderboard?as_of=x", "as_of"),
    ],
)
async def test_what_is_wrong_is_named(insight: Served, path: str, field: str) -> None:
    answer = await insight.ask(path)
    assert (answer.status, answer.body["details"][0]["field"]) == (400, field)
    assert answer.body["error"] == answer.body["message"]
    assert answer.body["error"].startswith(field)


async def test_numbers_of_any_size_are_numbers(one: Served) -> None:
    large = 10**18 - 1
    found = await search(one, q="flask", min_stars=large, limit=large, offset=large)
    assert (found.status, found.body["total"]) == (200, 0)
    found = await search(one, q="flask", offset=large)
    assert (found.body["total"], names(found)) == (1, [])


@pytest.mark.parametrize("window", list(Window))
async def test_the_best_are_those_of_the_formula(
    insight: Served, world: World, window: Window
) -> None:
    for language in (None, "Go"):
        asked = {"timeframe": window.value, **({"language": language} if language else {})}
        found = await board(insight, limit=10, explain=1, **asked)
        expected = world.trending(DAYS[-1], window, language, clean=False)[:10]
        assert names(found) == [name for name, _ in expected]
        listed = found.body["repositories"]
        assert [one["rank"] for one in listed] == list(range(1, len(expected) + 1))
        assert [one["score"] for one in listed] == [trend.score for _, trend in expected]
        assert [one["terms"]["expected"] for one in listed] == [
            trend.expected for _, trend in expected
        ]
        assert found.body["timeframe"] == window.value
        if expected:
            assert 0 < found.body["coverage"] <= 1
            assert found.body["window_actual"] >= 1
        brief = await board(insight, limit=10, **asked)
        assert names(brief) == names(found)
        assert "terms" not in str(brief.raw)


async def test_defaults_and_freshness_of_boards(insight: Served, world: World) -> None:
    found = await board(insight)
    assert (found.body["category"], found.body["timeframe"]) == ("trending", "week")
    assert found.headers["Cache-Control"] == "max-age=300"
    assert (found.body["as_of"], found.body["source"]) == (DAYS[-1].isoformat(), "github-ranking")
    missing = [DAYS[-1] - timedelta(days=back) for back in range(7)]
    assert found.body["missing_days"] == sum(day not in DAYS for day in missing)
    popular = await board(insight, category="popular", limit=500)
    assert names(popular) == [one.name for one in world.popular(DAYS[-1], None)][:100]
    assert popular.body["coverage"] is popular.body["window_actual"] is None
    quality = (await board(insight, category="quality")).body
    assert (quality["as_of"], quality["source"], quality["repositories"]) == (None, None, [])


async def test_the_same_data_is_the_same_bytes(
    insight: Served, world: World, tmp_path: Path
) -> None:
    del world
    paths = [f"/api/v1/fast/leaderboard?timeframe={one}&explain=1" for one in Window]
    paths += [f"/api/v1/fast/leaderboard?as_of={DAYS[-3]}", "/api/v1/fast/search?q=a"]
    async with serving(insight.store, tmp_path) as other:
        for path in paths:
            answers = [
                await insight.ask(path),
                await insight.ask(path, Cache_Control="no-cache"),
                await other.ask(path),
            ]
            assert [one.cache for one in answers] == ["MISS"] * 3
            assert len({(one.raw, one.headers["ETag"]) for one in answers}) == 1


async def test_a_board_of_the_past_is_what_it_was(store: Store, tmp_path: Path) -> None:
    world = World(seed=3)
    files = world.write(tmp_path)
    then = []
    async with serving(store, tmp_path) as insight:
        for path in files:
            await take(store, path)
            await insight.service.following.look()
            found = await board(insight, category="popular", limit=5)
            then.append([(one["full_name"], one["score"]) for one in found.body["repositories"]])
        for day, before in zip(DAYS, then, strict=True):
            found = await board(insight, category="popular", limit=5, as_of=day)
            assert found.body["as_of"] == day.isoformat()
            listed = [(one["full_name"], one["score"]) for one in found.body["repositories"]]
            assert listed == before


async def test_anybody_may_search_and_a_wrong_credential_is_told(
    store: Store, tmp_path: Path
) -> None:
    async with serving(store, tmp_path, auth=AUTH) as insight:
        for path in ("/api/v1/fast/search?q=a", "/api/v1/fast/leaderboard"):
            assert (await insight.ask(path)).status == 200
            assert (await insight.ask(path, Authorization=token())).status == 200
            assert (await insight.ask(path, Authorization="Bearer x.y.z")).status == 401
