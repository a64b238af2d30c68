"""What is looked at every second: who is silent, who may not stay, how much memory there is."""

from __future__ import annotations

import asyncio
from heapq import nlargest
from time import time
from typing import TYPE_CHECKING, Final

from uaitools import log
from uaitools.hub.closing import LATE, MEMORY, SILENT, UNAUTHORIZED
from uaitools.hub.slices import in_slices

if TYPE_CHECKING:
    from uaitools.hub.hub import Hub
    from uaitools.hub.session import Session

EVERY: Final = 1.0  # seconds
STANDSTILL: Final = 1.0  # seconds by which a sweep is late when this process did not run
LAGGARDS: Final = 50  # that go at once when memory is short

_log = log.get_logger(__name__)


class Sweep:
    """One walk over all sessions, again and again."""

    __slots__ = ("_hub", "_now", "pings")

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._now = 0.0  # of the loop's clock, when this walk began
        self.pings = 0

    def __repr__(self) -> str:
        return f"<Sweep pings={self.pings}>"

    async def run(self) -> None:
        """Walk for ever."""
        clock = asyncio.get_running_loop().time
        self._now = clock()
        while True:
            await asyncio.sleep(EVERY)
            late = clock() - self._now - EVERY
            if late > STANDSTILL:
                # What came in the meantime is in the kernel: it is heard before it is judged.
                await asyncio.sleep(0.1)
            self._now = clock()
            try:
                await in_slices(list(self._hub.sessions), self._look)
                await in_slices(list(self._hub.channels), self._hub.channels.look)
                self._weigh()
            except Exception as error:  # the next walk may well succeed
                _log.error("the sweep failed", exc_info=error)

    def _look(self, session: Session) -> None:
        hub, waited = self._hub, self._now - session.since
        nobody = not session.admitted and not session.subscriptions
        stale = session.judged != hub.generation
        revoked = stale and not hub.members.judge_again(session)
        if session.expiring:
            hub.members.expire(session, time())
        if revoked or time() >= session.principal.expires:
            session.end(UNAUTHORIZED)
        elif nobody and waited > hub.config.credential:
            session.end(LATE)
        else:
            self._ask(session)

    def _ask(self, session: Session) -> None:
        """Ask who is silent whether he lives; who has not said so in time has gone."""
        config, heard = self._hub.config, session.socket.heard
        if self._now - heard < config.ping:
            return
        if session.pinged <= heard:
            session.pinged = self._now
            session.socket.ping()
            self.pings += 1
        elif self._now - session.pinged >= config.patience:
            session.end(SILENT)

    def _weigh(self) -> None:
        budget = self._hub.budget
        budget.look()
        if not budget.over:
            return
        behind = nlargest(LAGGARDS, self._hub.sessions, key=_weight)
        for session in behind:
            if _weight(session) > (0, 0):
                session.end(MEMORY)
                session.socket.cut_off()


def _weight(session: Session) -> tuple[int, int]:
    return session.kept, session.lag
