"""One coarse clock for all timeouts: each connection has a deadline, looked at four times a second.

A timer a request would cost 2 us (docs/measurements.md); a look at 10,000 deadlines costs
0.14 ms. Precision is a quarter of a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Final, Protocol

from uaitools.log import get_logger
from uaitools.tasks import spawn

INTERVAL: Final = 0.25
_LATE: Final = 0.1  # seconds by which a loop that runs wakes nobody late
_TURN: Final = 0.01  # seconds, in which sockets are read at least once
NEVER: Final = float("inf")

_log = get_logger(__name__)


class Timed(Protocol):
    """A connection with a deadline in seconds of the monotonic clock; NEVER when none is due."""

    deadline: float

    def expire(self, now: float) -> None:
        """The deadline has passed."""


class Sweep:
    """The set of open connections and the task that looks at their deadlines."""

    __slots__ = ("_task", "connections", "hooks")

    def __init__(self) -> None:
        self.connections: set[Timed] = set()
        self.hooks: list[Callable[[float], None]] = []
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Sweep connections={len(self.connections)}>"

    def start(self) -> None:
        """Begin to look."""
        self._task = spawn(self._run(), name="sweep")

    async def stop(self) -> None:
        """Stop looking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def run_once(self, now: float) -> None:
        """Expire what is due; collected first, because expiring changes the set."""
        due = [connection for connection in self.connections if connection.deadline <= now]
        for connection in due:
            # Its own deadline may have moved on when another one's exchange expired.
            if connection.deadline <= now:
                connection.expire(now)
        for hook in self.hooks:
            hook(now)

    async def _run(self) -> None:
        while True:
            looked = monotonic()
            await asyncio.sleep(INTERVAL)
            if monotonic() - looked > INTERVAL + _LATE:
                # We stood still: what came meanwhile is read before anybody counts as late.
                await asyncio.sleep(_TURN)
            try:
                self.run_once(monotonic())
            except Exception:
                # A bug in one connection's expiry must not leave all others without timeouts.
                _log.exception("sweep failed")
