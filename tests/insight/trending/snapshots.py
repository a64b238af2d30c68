"""Repositories' counts for tests, and the formula once more, in plain Python."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from math import log, sqrt

from hypothesis import strategies as st

from uaitools.insight.trending.trend import Trend, trend
from uaitools.insight.trending.window import Window

TODAY = date(2024, 3, 1)


@dataclass(frozen=True, slots=True)
class Seen:
    day: date
    stars: int | None
    forks: int | None


def ago(days: int) -> date:
    return TODAY - timedelta(days)


def seen(days: int, stars: int | None, forks: int | None = None) -> Seen:
    return Seen(ago(days), stars, forks)


def snapshots(
    stars: int, gain: int, *, earlier: int | None = 0, forks: int = 0, forks_gain: int = 0,
    window: Window = Window.WEEK,
) -> list[Seen]:  # fmt: skip
    """Those of a repository at the bounds of a window and, unless None, of the time before."""
    found = [
        seen(window.days, stars, forks),
        seen(0, stars + gain, forks + forks_gain),
    ]
    if earlier is not None:
        found.append(seen(window.days + window.earlier, stars - earlier, forks))
    return found


def score(
    stars: int, gain: int, *, earlier: int | None = 0, forks: int = 0, forks_gain: int = 0,
    window: Window = Window.WEEK,
) -> float:  # fmt: skip
    several = snapshots(
        stars, gain, earlier=earlier, forks=forks, forks_gain=forks_gain, window=window
    )
    found = trend(several, as_of=TODAY, window=window).score
    assert found is not None
    return found


COUNTS = st.none() | st.integers(0, 300)
SNAPSHOTS = st.lists(
    st.builds(seen, st.integers(-3, 60), COUNTS, COUNTS), max_size=8, unique_by=lambda one: one.day
)
WINDOWS = st.sampled_from(Window)


def bounding(several: Iterable[Seen], window: Window) -> tuple[Seen, Seen, Seen | None] | None:
    """The snapshots at the beginning and end of a window, and the first of the time before."""
    known = sorted((one for one in several if one.stars is not None), key=lambda one: one.day)
    opening = ago(window.days)
    inside = [one for one in known if opening < one.day <= TODAY]
    if not inside:
        return None
    end = inside[-1]
    possible = [one for one in known if opening - timedelta(window.slack) <= one.day < end.day]
    if not possible:
        return None
    begin = min(possible, key=lambda one: (abs(one.day - opening), one.day))
    back = [one for one in known if timedelta(0) < begin.day - one.day <= timedelta(window.earlier)]
    return begin, end, back[0] if back else None


def computed(found: Trend) -> float:
    """The score by the counts of a trend, as docs/insight.md has it; constants are written out."""
    assert found.stars is not None
    assert found.gain is not None
    assert found.window_actual is not None
    gain = max(0, found.gain)
    counted = 10 + max(0, found.earlier_gain)
    prior = 10 / (1 + found.stars / 730)
    expected = counted / (prior + found.earlier_days) * found.window_actual
    shape = counted * 10 / (counted + 10)
    own = gain * log(gain / expected) if gain else 0.0
    deviance = 2 * (own - (gain + shape) * log((gain + shape) / (expected + shape)))
    if gain <= expected:
        return 0.0
    corroboration = 0.5
    if found.forks is not None and found.forks_gain is not None:
        ratio = min(0.2, (found.forks + 10) / (found.stars + 100))
        corroboration = min(1, (max(0, found.forks_gain) + 2) / (ratio * gain + 2))
    z = sqrt(max(0, deviance)) * sqrt(corroboration)
    return 10 * z / (z + 5)
