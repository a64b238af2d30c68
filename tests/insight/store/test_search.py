"""Searches, beside a plain look at all rows."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import get_args

import pytest

from tests.insight.store.world import (
    DAYS,
    LANGUAGES,
    QUERIES,
    World,
    languages_of,
    ranges_of,
)
from tests.insight.stores import Line, fresh_store, take, write
from tests.peers.postgres import PostgresServer
from uaitools.insight.errors import BadQuery
from uaitools.insight.store.opening import Store
from uaitools.insight.store.search import After, Found, Search, Sort, Wanted

DAY = date(2024, 2, 11)
SORTS: tuple[Sort, ...] = get_args(Sort)


@pytest.fixture
async def filled(store: Store, tmp_path: Path) -> tuple[Store, World]:
    world = World(seed=7)
    await take(store, *world.write(tmp_path))
    return store, world


def names(found: Found) -> list[str]:
    return [one["full_name"] for one in found.repositories]


async def test_totals_order_facets_and_pages_are_those_of_all_rows(
    filled: tuple[Store, World],
) -> None:
    store, world = filled
    search, chance = Search(store.pool), world.random
    totals = set()
    for at in range(400):
        query = " ".join(chance.sample(QUERIES, 2 if chance.random() < 0.2 else 1))
        language = chance.choice([*LANGUAGES, None, None, "COBOL"])
        least = chance.choice((None, None, 0, 1, 9, 10, 99, 100, 1000, 5000, 10**12))
        sort = SORTS[at % 3]
        limit, offset = chance.choice((1, 3, 20, 100)), chance.choice((0, 0, 1, 7))
        expected = world.found(DAYS[-1], query, language, least, sort)
        found = await search.search(Wanted(query, language, least, sort, limit, offset))
        if found.alike:
            assert expected == []
            continue
        told = (query, language, least, sort)
        assert found.total == len(expected), told
        assert names(found) == [one.name for one in expected][offset : offset + limit], told
        assert found.languages == languages_of(expected), told
        assert found.ranges == ranges_of(expected), told
        assert found.state.as_of == DAYS[-1]
        totals.add(found.total)
    assert len(totals) > 20


@pytest.mark.parametrize("sort", SORTS)
async def test_pages_by_cursor_are_the_whole_without_gaps(
    filled: tuple[Store, World], sort: Sort
) -> None:
    store, world = filled
    search = Search(store.pool)
    for query in ("react", "fast", "java library", "a"):
        expected = world.found(DAYS[-1], query, None, None, sort)
        seen: list[str] = []
        after: After | None = None
        while True:
            page = await search.search(Wanted(query, sort=sort, limit=4, after=after))
            seen += names(page)
            assert page.total == len(expected)
            after = page.next
            if after is None:
                break
        assert seen == [one.name for one in expected], query
    assert any(getattr(one, sort) is None for one in world.found(DAYS[-1], "a", None, None, sort))


async def test_fields_are_those_of_the_newest_day(store: Store, tmp_path: Path) -> None:
    await take(store, write(tmp_path, DAY, [Line("a/B", 5, 2, "Go", "what it is")]))
    found = await Search(store.pool).search(Wanted("a/b"))
    (one,) = found.repositories
    assert one == {
        "id": one["id"],
        "name": "B",
        "full_name": "a/B",
        "description": "what it is",
        "language": "Go",
        "stars": 5,
        "forks": 2,
        "trending_score": None,
        "as_of": "2024-02-11",
        "source": "github-ranking",
    }
    assert (found.state.generation, found.state.sources) == (1, ["github-ranking"])


async def test_what_is_not_known_is_in_no_range_and_above_no_number(
    store: Store, tmp_path: Path
) -> None:
    await take(store, write(tmp_path, DAY, [Line("a/unknown", None, 3), Line("a/none", 0, 1)]))
    search = Search(store.pool)
    found = await search.search(Wanted("a"))
    assert names(found) == ["a/none", "a/unknown"]
    assert found.ranges == {"0-10": 1, "11-100": 0, "101-1000": 0, "1000+": 0}
    assert names(await search.search(Wanted("a", min_stars=0))) == ["a/none"]


async def test_boundaries_of_ranges(store: Store, tmp_path: Path) -> None:
    lines = [Line(f"a/r{stars}", stars) for stars in (0, 10, 11, 100, 101, 1000, 1001)]
    await take(store, write(tmp_path, DAY, lines))
    found = await Search(store.pool).search(Wanted("a"))
    assert list(found.ranges.items()) == [
        ("0-10", 2),
        ("11-100", 2),
        ("101-1000", 2),
        ("1000+", 1),
    ]


async def test_a_magnitude_that_is_reached_is_found_by_it(store: Store, tmp_path: Path) -> None:
    search = Search(store.pool)
    for day, stars, language in ((11, 99, "Go"), (12, 100, "C"), (13, 9, None)):
        path = write(tmp_path, date(2024, 2, day), [Line("a/b", stars, language=language)])
        await take(store, path)
        for least in (9, 10, 99, 100):
            found = await search.search(Wanted("a", min_stars=least))
            assert found.total == (stars >= least), (stars, least)
        for asked in ("Go", "C"):
            found = await search.search(Wanted("a", asked))
            assert found.total == (asked == language)


@pytest.mark.parametrize("after", [After(10**30, 1), After(-(10**30), 1), After(1, 2**70)])
@pytest.mark.parametrize("sort", SORTS)
async def test_a_place_where_no_page_ended_is_refused(
    store: Store, sort: Sort, after: After
) -> None:
    with pytest.raises(BadQuery):
        await Search(store.pool).search(Wanted("a", sort=sort, after=after))


async def test_what_is_out_of_all_bounds_finds_nothing(store: Store, tmp_path: Path) -> None:
    await take(store, write(tmp_path, DAY, [Line("a/b", 5)]))
    search = Search(store.pool)
    assert (await search.search(Wanted("a", "\0"))).total == 0
    assert (await search.search(Wanted("a", "x" * 100_000))).total == 0
    assert (await search.search(Wanted("a", min_stars=10**30))).total == 0
    assert (await search.search(Wanted("a", min_stars=-(10**3)))).total == 1
    assert names(await search.search(Wanted("a", offset=10**30))) == []
    assert (await search.search(Wanted("a " * 100_000))).total == 1
    assert (await search.search(Wanted("x" * 100_000))).total == 0


async def test_a_name_with_a_typing_error_is_found_where_trigrams_are_there(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    lines = [
        Line("tensorflow/tensorflow", 9, language="C++"),
        Line("kubernetes/kubernetes", 8, language="Go"),
        Line("x/tensorboard", 7),
    ]
    async with fresh_store(postgres) as store:
        await take(store, write(tmp_path, DAY, lines))
        search = Search(store.pool)
        exact = await search.search(Wanted("tensorflow"))
        assert (names(exact), exact.alike) == (["tensorflow/tensorflow"], False)
        found = await search.search(Wanted("kuberntes"))
        has = postgres.kind == "debian"
        assert names(found) == (["kubernetes/kubernetes"] if has else [])
        assert (found.total, found.alike) == (int(has), has)
        assert found.languages == ({"Go": 1} if has else {})
        assert (await search.search(Wanted("kuberntes", "C++"))).total == 0
        assert (await search.search(Wanted("\0' \\"))).total == 0
