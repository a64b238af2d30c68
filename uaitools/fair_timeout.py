"""Time limits by which a peer is judged, and that do not count our own standing still.

After a stop of the process or of its loop (SIGSTOP, a machine without a free core, a long
callback), timers that came due meanwhile run before the sockets are read: `asyncio.timeout` then
blames the peer, whose answer may have been here long ago. Here a limit passes in PARTS timers, one
after the other, and a stop uses up one of them: what has arrived is read before the next. A limit
of several stops lasts as much longer as they took, beyond a part each.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

PARTS: Final = 4


def _nothing() -> None:
    pass


class FairTimer:
    """Calls back when `seconds` have passed while this process could run, unless cancelled."""

    __slots__ = ("_callback", "_handle", "_left", "_loop", "_part")

    def __init__(self, seconds: float, callback: Callable[[], object]) -> None:
        self._callback = callback
        self._left = PARTS
        self._part = seconds / PARTS
        self._loop = asyncio.get_running_loop()
        self._handle = self._loop.call_later(self._part, self._pass_part)

    def __repr__(self) -> str:
        return f"<FairTimer parts={self._left} of {self._part:g} s>"

    def cancel(self) -> None:
        """Do not call, and let go of what would be called."""
        self._handle.cancel()
        self._callback = _nothing

    def _pass_part(self) -> None:
        self._left -= 1
        if self._left:
            self._handle = self._loop.call_later(self._part, self._pass_part)
        else:
            self._callback()


@asynccontextmanager
async def fair_timeout(seconds: float) -> AsyncIterator[None]:
    """Raise TimeoutError from the block when `seconds` have passed while this process could run."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as limit:
        timer = FairTimer(seconds, lambda: limit.reschedule(loop.time()))
        try:
            yield
        finally:
            timer.cancel()
