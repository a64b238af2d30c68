"""Which days bound a window, what is unknown, and that order makes no difference."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.insight.trending.snapshots import (
    SNAPSHOTS,
    TODAY,
    WINDOWS,
    Seen,
    ago,
    bounding,
    seen,
)
from uaitools.insight.trending.histories import Histories, dated, history, number
from uaitools.insight.trending.trend import Trend, trend, trends
from uaitools.insight.trending.window import Window


def week(*several: Seen) -> Trend:
    return trend(several, as_of=TODAY, window=Window.WEEK)


@given(st.dates(date(2008, 1, 1), date(2100, 1, 1)))
def test_days_have_the_numbers_that_numpy_gives_them(day: date) -> None:
    assert number(day) == int(np.datetime64(day, "D").astype(np.int64))
    assert dated(number(day)) == day


@pytest.mark.parametrize(
    ("window", "days", "earlier"),
    [("day", 1, 28), ("week", 7, 28), ("month", 30, 120), ("year", 365, 365)],
)
def test_windows_look_back_four_times_within_bounds(window: str, days: int, earlier: int) -> None:
    assert (Window(window).days, Window(window).earlier) == (days, earlier)


def test_the_window_is_bounded_by_its_own_days_where_they_are_known() -> None:
    found = week(seen(0, 40), seen(3, 25), seen(7, 20), seen(14, 13), seen(35, 6), seen(36, 1))

    assert (found.begin, found.end, found.window_actual) == (ago(7), TODAY, 7)
    assert (found.gain, found.stars, found.coverage) == (20, 20, 1.0)
    assert (found.earlier_gain, found.earlier_days, found.earlier_rate) == (14, 28, 0.5)


@pytest.mark.parametrize(
    ("days", "begin", "end", "coverage"),
    [
        ([0, 9], 9, 0, 1.0),
        ([0, 9, 6], 6, 0, 6 / 7),
        ([0, 9, 5], 9, 0, 1.0),  # as near, and earlier
        ([0, 11], None, None, 0.0),
        ([1, 2], 2, 1, 1 / 7),
        ([2, 7], 7, 2, 5 / 7),
        ([6, 8], 8, 6, 1 / 7),
        ([7, 8], None, None, 0.0),
        ([0], None, None, 0.0),
        ([-1, 7], None, None, 0.0),
        ([-1, 0, 7], 7, 0, 1.0),
    ],
)
def test_where_days_are_missing_the_nearest_known_ones_bound_it(
    days: list[int], begin: int | None, end: int | None, coverage: float
) -> None:
    found = week(*(seen(one, 50 - one, 5) for one in days))

    assert found.begin == (None if begin is None else ago(begin))
    assert found.end == (None if end is None else ago(end))
    assert found.coverage == pytest.approx(coverage)
    if begin is None or end is None:
        assert (found.score, found.gain, found.window_actual) == (None, None, None)
    else:
        assert (found.gain, found.window_actual) == (begin - end, begin - end)


def test_a_window_without_two_known_days_is_unknown_and_not_zero() -> None:
    for several in ((), (seen(0, 5),), (seen(0, 5), seen(7, None)), (seen(20, 5), seen(30, 3))):
        found = week(*several)
        assert (found.score, found.shown, found.expected, found.shrinkage) == (None,) * 4
        assert found.flags == ("thin_data",)
        assert not found.flagged


def test_a_day_needs_the_day_before() -> None:
    several = [seen(0, 9), seen(2, 5)]

    assert trend(several, as_of=TODAY, window=Window.DAY).score is None
    assert trend([*several, seen(1, 7)], as_of=TODAY, window=Window.DAY).gain == 2


def test_absence_from_the_source_is_no_loss() -> None:
    stayed = [seen(days, 1_000 - 3 * days, 100) for days in range(40)]
    returned = [one for one in stayed if one.day in (ago(0), ago(7), ago(35))]

    assert trend(returned, as_of=TODAY, window=Window.WEEK) == trend(
        stayed, as_of=TODAY, window=Window.WEEK
    )


@given(SNAPSHOTS, WINDOWS)
def test_the_days_are_those_of_an_oracle(several: list[Seen], window: Window) -> None:
    found = trend(several, as_of=TODAY, window=window)
    expected = bounding(several, window)

    if expected is None:
        assert (found.score, found.begin, found.end, found.gain) == (None,) * 4
        return
    begin, end, earlier = expected
    assert begin.stars is not None
    assert end.stars is not None
    assert (found.begin, found.end) == (begin.day, end.day)
    assert (found.gain, found.stars) == (end.stars - begin.stars, begin.stars)
    known = None not in (begin.forks, end.forks)
    assert found.forks_gain == ((end.forks or 0) - (begin.forks or 0) if known else None)
    assert found.earlier_days == ((begin.day - earlier.day).days if earlier else 0)
    if earlier:
        assert found.earlier_gain == begin.stars - (earlier.stars or 0)


@given(SNAPSHOTS, WINDOWS, st.randoms())
def test_neither_order_nor_repetition_makes_a_difference(
    several: list[Seen], window: Window, dice: object
) -> None:
    again = sorted(several * 2, key=lambda _: dice.random())  # type: ignore[attr-defined]
    lower = [Seen(one.day, one.stars and one.stars - 1, None) for one in several]

    found = trend(several, as_of=TODAY, window=window)

    assert trend(again, as_of=TODAY, window=window) == found
    assert trend([*again, *lower], as_of=TODAY, window=window) == found


@given(st.lists(SNAPSHOTS, min_size=1, max_size=20), WINDOWS, st.randoms())
def test_many_at_once_are_each_alone_to_the_last_bit(
    repositories: list[list[Seen]], window: Window, dice: object
) -> None:
    alone = [history(several) for several in repositories]
    rows = [
        (whose, *row)
        for whose, one in enumerate(alone)
        for row in zip(one.day, one.stars, one.forks, strict=True)
    ]
    rows.sort(key=lambda _: dice.random())  # type: ignore[attr-defined]
    whose, day, stars, forks = zip(*rows, strict=True) if rows else ((), (), (), ())
    together = Histories(
        np.array(whose, np.int64), np.array(day, np.int64), np.array(stars, float),
        np.array(forks, float),
    )  # fmt: skip
    renamed = (np.array([0, 0]), np.array([number(ago(3)), number(ago(90))]))

    found = trends(
        together, len(alone), as_of=TODAY, window=window, source_days={ago(1)}, renamed=renamed
    )

    assert len(found) == len(alone)
    for at, several in enumerate(repositories):
        assert found[at] == trend(
            several,
            as_of=TODAY,
            window=window,
            source_days={ago(1)},
            renamed=[] if at else [ago(3), ago(90)],
        )
        assert found.flagged[at] == found[at].flagged
    known = sum(found[at].score is not None for at in range(len(found)))
    assert repr(found) == f"<Trends {window} 2024-03-01 {known}/{len(alone)}>"
