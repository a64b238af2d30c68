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


class EchoedClock:
    """A clock that others keep, as it was last told; between two words it runs by itself.

    It never goes back, and after STEP seconds without a word it stands still, as they do.
    """

    __slots__ = ("_heard", "_latest", "_told")

    def __init__(self, start: float, raw: float) -> None:
        self._told = self._latest = start
        self._heard = raw

    def __repr__(self) -> str:
        return f"<EchoedClock now={self._latest:.3f}>"

    def tell(self, now: float, raw: float) -> None:
        """It is `now`. raw: what the clock says by which it runs in between."""
        self._told, self._heard = now, raw

    def read(self, raw: float) -> float:
        """The time as of now."""
        self._latest = max(self._latest, self._told + min(max(raw - self._heard, 0.0), STEP))
        return self._latest
