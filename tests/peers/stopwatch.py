"""How long something took, on a machine that is busy with other tests as well."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

TICK = 0.01
MOST = 0.05  # a longer step was a stop of the machine, not of what is measured


class Stopwatch:
    """Seconds for which the test's loop ran: for what may take so long at most.

    What is measured runs in the same loop. Of a time in which that stood still MOST seconds count,
    so for what has to take so long at least, a clock is read.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._seconds = 0.0
        self._at = self._loop.time()
        self._tick()

    @property
    def seconds(self) -> float:
        return self._seconds + self._step()

    def stop(self) -> None:
        self._seconds = self.seconds
        self._at = float("inf")
        self._next.cancel()

    def _tick(self) -> None:
        self._seconds += self._step()
        self._at = self._loop.time()
        self._next = self._loop.call_later(TICK, self._tick)

    def _step(self) -> float:
        return max(0.0, min(self._loop.time() - self._at, MOST))


@contextlib.contextmanager
def stopwatch() -> Iterator[Stopwatch]:
    """Measure a block; `seconds` can be read in it and after it."""
    watch = Stopwatch()
    try:
        yield watch
    finally:
        watch.stop()
