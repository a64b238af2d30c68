"""What a score rises with, what it does not, and that it is the formula of the docs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.insight.trending.snapshots import (
    SNAPSHOTS,
    TODAY,
    WINDOWS,
    Seen,
    computed,
    score,
    snapshots,
)
from uaitools.insight.trending.trend import trend
from uaitools.insight.trending.window import Window

CASES: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "stars": st.integers(0, 300_000),
        "gain": st.integers(-1_000, 50_000),
        "earlier": st.none() | st.integers(-1_000, 100_000),
        "forks": st.integers(0, 50_000),
        "forks_gain": st.integers(-10, 5_000),
        "window": WINDOWS,
    }
)
MORE = st.integers(0, 1_000)
ROUNDING = 2e-9


@given(CASES, MORE)
def test_it_rises_with_the_gain(case: dict[str, Any], more: int) -> None:
    assert score(**case) <= score(**{**case, "gain": case["gain"] + more}) + ROUNDING


@given(CASES)
def test_it_rises_strictly_above_what_is_expected(case: dict[str, Any]) -> None:
    found = trend(snapshots(**case), as_of=TODAY, window=case["window"])
    assert found.expected is not None
    more = int(max(case["gain"], found.expected) * 1.1) + 1

    assert score(**{**case, "gain": more}) > score(**case)


@given(CASES, st.integers(-1_000, 100_000), MORE)
def test_it_never_rises_with_the_earlier_gain(
    case: dict[str, Any], earlier: int, more: int
) -> None:
    less = score(**{**case, "earlier": earlier + more})

    assert less <= score(**{**case, "earlier": earlier}) + ROUNDING


@given(CASES, MORE)
def test_it_never_rises_with_size(case: dict[str, Any], more: int) -> None:
    enough = {**case, "forks_gain": 9_999}
    less = score(**{**enough, "stars": case["stars"] + 100 * more})

    assert less <= score(**enough) + ROUNDING


@given(CASES, MORE)
def test_it_never_falls_with_new_forks(case: dict[str, Any], more: int) -> None:
    assert score(**case) <= score(**{**case, "forks_gain": case["forks_gain"] + more})


@given(st.integers(0, 10_000), WINDOWS)
def test_a_steady_rate_is_next_to_no_trend_however_large(daily: int, window: Window) -> None:
    stars = 2 * daily * window.earlier
    found = score(
        stars,
        daily * window.days,
        earlier=daily * window.earlier,
        forks_gain=9_999,
        window=window,
    )

    assert found < (1 if daily < 500 else 0.1)  # small rates are shrunk


def test_small_counts_say_little() -> None:
    three_to_nine = score(3, 6)

    assert 0 < three_to_nine < 3
    assert three_to_nine < score(100_000, 1_000, earlier=2_000, forks=15_000, forks_gain=120)
    assert three_to_nine < score(30, 60, forks=3, forks_gain=5) < score(300, 600, forks_gain=60)
    assert score(0, 1) == score(0, 0) == 0


def test_the_same_multiple_of_a_rate_says_hardly_more_of_a_large_one() -> None:
    small, large = (
        score(10**5, 2 * n, earlier=4 * n, forks=10**4, forks_gain=n) for n in (100, 10_000)
    )

    assert small < large < small + 0.5


def test_stars_that_bring_no_forks_count_little_however_many() -> None:
    bought = [score(1_000, gain, earlier=100, forks=100) for gain in (500, 5_000, 50_000)]

    assert bought == sorted(bought)
    assert bought[-1] < bought[0] + 2 < score(1_000, 500, earlier=100, forks=100, forks_gain=50) + 1


def test_unknown_forks_are_neither_none_nor_enough() -> None:
    known, unknown = (
        trend(
            [Seen(one.day, one.stars, forks and one.forks) for one in snapshots(1_000, 500)],
            as_of=TODAY,
            window=Window.WEEK,
        )
        for forks in (1, None)
    )

    assert (unknown.corroboration, unknown.forks_gain, unknown.forks_expected) == (None, None, None)
    assert known.score is not None
    assert unknown.score is not None
    assert known.score < unknown.score < score(1_000, 500, forks_gain=500)


def test_without_earlier_data_what_size_alone_brings_is_expected() -> None:
    assert score(50_000, 400, earlier=None, forks_gain=400) == 0
    assert score(50_000, 3_000, earlier=None, forks_gain=999) > 5
    assert score(500, 400, earlier=None, forks_gain=400) > 7


@given(SNAPSHOTS, WINDOWS)
def test_scores_are_those_of_the_formula_in_plain_python(
    several: list[Seen], window: Window
) -> None:
    found = trend(several, as_of=TODAY, window=window)

    if found.score is not None:
        assert found.score == pytest.approx(computed(found), abs=ROUNDING)
        assert 0 <= found.score < 10


@given(CASES)
def test_scores_of_large_counts_are_those_of_the_formula(case: dict[str, Any]) -> None:
    found = trend(snapshots(**case), as_of=TODAY, window=case["window"])

    assert found.score == pytest.approx(computed(found), abs=1e-6)
