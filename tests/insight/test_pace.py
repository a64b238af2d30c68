"""How many requests there were of late."""

from __future__ import annotations

from uaitools.insight.pace import Lately, Pace, Totals


def test_pace_is_that_of_the_last_moments() -> None:
    lately = Lately(3, Totals(0.0, 0, 0.0))
    assert lately.pace(Totals(0.0, 0, 0.0)) == Pace(0.0, None)
    assert lately.pace(Totals(10.0, 100, 2.0)) == Pace(10.0, 0.02)
    for at in range(10, 60, 10):
        lately.mark(Totals(float(at), 100, 2.0))
    assert lately.pace(Totals(60.0, 100, 2.0)) == Pace(0.0, None)  # all of it is long ago
    assert lately.pace(Totals(60.0, 130, 5.0)) == Pace(1.0, 0.1)
