from __future__ import annotations

from dataclasses import fields

import pytest

from tests.insight.trending.snapshots import TODAY, ago, seen, snapshots
from uaitools.insight.trending.trend import Trend, trend
from uaitools.insight.trending.window import Window


def flags(
    stars: int, gain: int, *, earlier: int | None = 100, forks: int = 100, forks_gain: int = 0
) -> tuple[str, ...]:
    several = snapshots(stars, gain, earlier=earlier, forks=forks, forks_gain=forks_gain)
    found = trend(several, as_of=TODAY, window=Window.WEEK)
    assert found.flagged == bool({"loss", "renamed", "spike_without_forks"} & set(found.flags))
    return found.flags


def test_an_ordinary_week_has_no_flags() -> None:
    assert flags(1_000, 30, forks_gain=3) == ()


def test_a_spike_without_forks_is_flagged() -> None:
    assert flags(1_000, 500) == ("spike_without_forks",)
    assert flags(1_000, 500, forks_gain=-20) == ("spike_without_forks",)
    assert flags(1_000, 500, forks_gain=4) == ("spike_without_forks",)
    assert flags(1_000, 500, forks_gain=20) == ()


def test_where_no_forks_are_to_be_expected_their_absence_says_nothing() -> None:
    assert flags(1_000, 45) == ()
    assert flags(100_000, 5_000, earlier=20_000, forks=10_000) == ()


def test_unknown_forks_are_no_absence() -> None:
    several = [seen(0, 1_500), seen(7, 1_000, 100), seen(35, 900, 90)]

    assert trend(several, as_of=TODAY, window=Window.WEEK).flags == ()


def test_a_loss_is_flagged_in_the_window_and_before_it() -> None:
    assert flags(1_000, -1) == ("loss",)
    assert flags(1_000, 30, earlier=-500, forks_gain=3) == ("loss",)
    assert flags(1_000, 0) == ()


def test_without_enough_days_the_data_is_thin_which_drops_nothing() -> None:
    assert flags(1_000, 30, earlier=None, forks_gain=3) == ("thin_data",)
    for days, thin in ((3, ("thin_data",)), (4, ())):
        several = [seen(0, 1_030), seen(days, 1_000), seen(30, 900)]
        assert trend(several, as_of=TODAY, window=Window.WEEK).flags == thin
    for days, thin in ((20, ("thin_data",)), (21, ())):
        several = [seen(0, 1_030), seen(7, 1_000), seen(days, 900)]
        assert trend(several, as_of=TODAY, window=Window.WEEK).flags == thin


@pytest.mark.parametrize(
    ("day", "expected"), [(0, True), (6, True), (7, True), (34, True), (35, False), (-1, False)]
)
def test_a_name_that_changed_between_the_days_compared_is_flagged(day: int, expected: bool) -> None:
    several = snapshots(1_000, 30, earlier=100, forks_gain=3)
    found = trend(several, as_of=TODAY, window=Window.WEEK, renamed=[ago(99), ago(day)])

    assert found.flags == (("renamed",) if expected else ())
    assert found.flagged == expected


def test_one_that_left_the_source_is_told_from_a_source_without_data() -> None:
    several = [seen(2, 1_030, 103), seen(7, 1_000, 100), seen(35, 900, 100)]

    def left(*days: int) -> tuple[str, ...]:
        source = [ago(one) for one in days]
        found = trend(several, as_of=TODAY, window=Window.WEEK, source_days=source)
        assert (found.gain, found.flagged) == (30, False)
        return found.flags

    assert left(7, 2) == ()
    assert left(7, 2, -1) == ()
    assert left(7, 2, 1) == ("left_source",)
    several.append(seen(0, None, 104))
    assert left(7, 2, 1, 0) == ()


def test_a_trend_has_every_term_and_its_version() -> None:
    found = trend(snapshots(1_000, 30, earlier=100), as_of=TODAY, window=Window.WEEK)

    assert {one.name for one in fields(Trend)} >= {
        "score", "gain", "window_actual", "coverage", "earlier_rate", "earlier_days", "expected",
        "shrinkage", "surprise", "forks_gain", "forks_expected", "corroboration", "flags",
    }  # fmt: skip
    assert found.version == "1"
    assert found.score is not None
    assert found.shown == round(found.score, 1)
