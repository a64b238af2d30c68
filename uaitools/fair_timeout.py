"""A time limit by which a peer is judged, and that does not count our own standing still."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

PARTS: Final = 4


@asynccontextmanager
async def fair_timeout(seconds: float) -> AsyncIterator[None]:
    """Raise TimeoutError from the block when `seconds` have passed while this process could run.

    After a stop of the process or of its loop (SIGSTOP, a machine without a free core, a long
    callback), timers that came due meanwhile run before the sockets are read: `asyncio.timeout`
    then blames the peer, whose answer may have been here long ago. Here the limit passes in PARTS
    timers, one after the other, and a stop uses up one of them: what has arrived is read before
    the next. A limit of several stops lasts as much longer as they took, beyond a part each.
    """
    loop = asyncio.get_running_loop()
    left = PARTS
    timer: asyncio.TimerHandle

    def pass_part() -> None:
        nonlocal left, timer
        left -= 1
        if left:
            timer = loop.call_later(seconds / PARTS, pass_part)
        else:
            limit.reschedule(loop.time())

    async with asyncio.timeout(None) as limit:
        timer = loop.call_later(seconds / PARTS, pass_part)
        try:
            yield
        finally:
            timer.cancel()
