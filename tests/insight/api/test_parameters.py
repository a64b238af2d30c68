"""Queries as they are read, and cursors."""

from __future__ import annotations

from datetime import date

import pytest

from uaitools.insight.api import leaderboards, searches
from uaitools.insight.api.cursors import after, cursor
from uaitools.insight.errors import BadQuery
from uaitools.insight.store.boards import Ask
from uaitools.insight.store.search import After, Wanted
from uaitools.insight.trending.window import Window


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("q=flask", Wanted("flask")),
        ("q=++Flask%20%EF%BC%A1PI+", Wanted("flask api")),
        ("q=caf%C3%A9&language=C%2B%2B", Wanted("café", "C++")),
        ("q=a&language=&sort=updated", Wanted("a", sort="updated")),
        ("q=a&min_stars=0&offset=7", Wanted("a", min_stars=0, offset=7)),
        ("&q=a&&limit=100000&", Wanted("a", limit=100)),
    ],
)
def test_searches(query: str, expected: Wanted) -> None:
    assert searches.read(query) == expected


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "q"),
        ("q=", "q"),
        ("q", "q"),
        ("q=%20+%09", "q"),
        ("q=" + "a" * 257, "q"),
        ("q=a%00b", "q"),
        ("q=%FF", "query"),
        ("q=a&q=a", "q"),
        ("q=a&Q=a", "Q"),
        ("q=a&stars=1", "stars"),
        ("q=a&min_stars=", "min_stars"),
        ("q=a&min_stars=-1", "min_stars"),
        ("q=a&min_stars=1.5", "min_stars"),
        ("q=a&min_stars=1e3", "min_stars"),
        ("q=a&min_stars=%D9%A3", "min_stars"),
        ("q=a&min_stars=" + "9" * 19, "min_stars"),
        ("q=a&min_stars=" + "9" * 5000, "min_stars"),
        ("q=a&sort=name", "sort"),
        ("q=a&sort=", "sort"),
        ("q=a&sort=stars%20", "sort"),
        ("q=a&limit=0", "limit"),
        ("q=a&limit=-5", "limit"),
        ("q=a&limit=ten", "limit"),
        ("q=a&offset=-1", "offset"),
        ("q=a&offset=+1", "offset"),
        ("q=a&cursor=x", "cursor"),
        ("q=a&cursor=" + "A" * 32, "cursor"),
        ("q=a&cursor=" + "%C3%A9" * 32, "cursor"),
        ("q=a&language=" + "x" * 101, "language"),
        ("q=a&language=%00", "language"),
        ("&".join(f"p{number}=1" for number in range(2000)), "p0"),
    ],
)
def test_searches_that_are_refused(query: str, field: str) -> None:
    with pytest.raises(BadQuery) as caught:
        searches.read(query)
    assert caught.value.code == 400
    assert caught.value.details is not None
    assert caught.value.details[0]["field"] == field


@pytest.mark.parametrize(
    ("query", "ask", "explain"),
    [
        ("", Ask(), False),
        ("category=popular&timeframe=day&limit=500", Ask("popular", Window.DAY, limit=100), False),
        ("as_of=2024-02-11&explain=1", Ask(as_of=date(2024, 2, 11)), True),
        ("exclude=flagged&language=Go", Ask(language="Go", exclude_flagged=True), False),
    ],
)
def test_leaderboards(query: str, ask: Ask, explain: bool) -> None:
    assert leaderboards.read(query) == (ask, explain)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("category=best", "category"),
        ("timeframe=weekly", "timeframe"),
        ("as_of=yesterday", "as_of"),
        ("as_of=20240211", "as_of"),
        ("as_of=2024-W06-7", "as_of"),
        ("as_of=2024-02-30", "as_of"),
        ("as_of=0000-01-01", "as_of"),
        ("explain=yes", "explain"),
        ("exclude=all", "exclude"),
        ("q=a", "q"),
    ],
)
def test_leaderboards_that_are_refused(query: str, field: str) -> None:
    with pytest.raises(BadQuery) as caught:
        leaderboards.read(query)
    assert caught.value.details is not None
    assert caught.value.details[0]["field"] == field


@pytest.mark.parametrize("place", [After(7, 3), After(None, 1), After(-(2**62), 2**62)])
def test_a_cursor_says_where_its_query_goes_on(place: After) -> None:
    text = cursor(place, b"one")
    assert text is not None
    assert after(text, b"one") == place
    with pytest.raises(BadQuery):
        after(text, b"another")
    assert (cursor(None, b"one"), after(None, b"one")) == (None, None)
