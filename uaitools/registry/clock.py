"""A clock that runs only while somebody looks at it.

Leases are judged by how long nothing was heard, and nothing is heard by a process that does not
run: one that was stopped, a machine that slept, a store that was away. A clock that jumps is the
same thing. So a step from one look to the next counts for at most STEP seconds, and never back.
"""

from __future__ import annotations

from typing import Final

STEP: Final = 1.5  # seconds; who looks does so every second


class WatchedClock:
    """Seconds since `start`, as they were watched. raw: any clock's reading at the start.

    pauses: how often it was not watched for longer than a step.
    """

    __slots__ = ("_raw", "now", "pauses")

    def __init__(self, start: float, raw: float) -> None:
        self.now = start
        self._raw = raw
        self.pauses = 0

    def __repr__(self) -> str:
        return f"<WatchedClock now={self.now:.3f}>"

    def read(self, raw: float) -> float:
        """The time as of now. raw: what the other clock says now."""
        step = raw - self._raw
        self.pauses += step > STEP
        self.now += min(max(step, 0.0), STEP)
        self._raw = raw
        return self.now
