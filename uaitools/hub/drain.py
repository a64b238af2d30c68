"""The end of a node: everybody is sent elsewhere, at a pace that the other nodes bear."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from typing import Final

from uaitools import log
from uaitools.hub.closing import GOING_AWAY
from uaitools.hub.session import Session
from uaitools.hub.sessions import Sessions
from uaitools.hub.slices import in_slices

_log = log.get_logger(__name__)

LEAD: Final = 0.5  # seconds: all are told before the first has to go
GRACE: Final = 2.0  # seconds after its time, or after a close frame, that a client has to go


async def send_elsewhere(sessions: Sessions, rate: float, deadline: float) -> None:
    """Tell everybody to connect elsewhere, `rate` a second, and disconnect who stays.

    deadline: on the clock of the running loop; who has not been told to go by then is not ended
    here, see `end_all`. Nobody may come any more.
    """
    clock = asyncio.get_running_loop().time
    leaving = list(sessions)
    left = deadline - clock() - LEAD
    if len(leaving) > left * rate:
        _log.warning("not all can be sent elsewhere in time", clients=len(leaving), rate=rate)
    random.shuffle(leaving)  # or those who came together would go together, again and again
    began = clock() + LEAD
    due = {session: began + at / rate for at, session in enumerate(leaving)}

    def tell(session: Session) -> None:
        after = max(0, int((due[session] - clock()) * 1000))
        session.say({"type": "reconnect", "after_ms": after})

    await in_slices(leaving, tell)
    for session, at in due.items():
        if session in sessions and not await _gone(sessions, min(at + GRACE, deadline)):
            session.end(GOING_AWAY)
    await _gone(sessions, deadline)


async def end_all(sessions: Sessions) -> None:
    """Disconnect everybody, now."""
    await in_slices(list(sessions), lambda session: session.end(GOING_AWAY))
    if not await _gone(sessions, asyncio.get_running_loop().time() + GRACE):
        for session in list(sessions):
            session.socket.cut_off()
        await sessions.gone.wait()


async def _gone(sessions: Sessions, until: float) -> bool:
    """Wait for everybody to go, at most until then; whether they have."""
    with suppress(TimeoutError):
        async with asyncio.timeout_at(until):
            await sessions.gone.wait()
    return sessions.gone.is_set()
