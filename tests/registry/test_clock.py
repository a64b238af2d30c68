"""Time passes while it is watched, whatever the clock behind it does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uaitools.registry.clock import STEP, WatchedClock


def test_it_runs_with_a_clock_that_is_looked_at() -> None:
    clock = WatchedClock(1_000_000.0, 5.0)
    assert clock.read(6.0) == 1_000_001.0
    assert clock.read(7.25) == 1_000_002.25
    assert (clock.now, clock.pauses) == (1_000_002.25, 0)


@pytest.mark.parametrize("jump", [60.0, 86_400.0, 1e9])
def test_a_pause_or_a_jump_ahead_is_one_step(jump: float) -> None:
    clock = WatchedClock(0.0, 0.0)
    assert clock.read(jump) == STEP
    assert clock.read(jump + 1) == STEP + 1
    assert clock.pauses == 1


def test_a_jump_back_takes_nothing_and_holds_nothing_up() -> None:
    clock = WatchedClock(0.0, 100.0)
    assert clock.read(-1e9) == 0.0
    assert clock.read(-1e9 + 1) == 1.0
    assert clock.pauses == 0


@given(st.lists(st.floats(-1e12, 1e12)))
def test_it_never_goes_back_and_never_far(readings: list[float]) -> None:
    clock = WatchedClock(0.0, 0.0)
    before = 0.0
    for raw in readings:
        now = clock.read(raw)
        assert before <= now <= before + STEP
        before = now
