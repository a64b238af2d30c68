"""What is done now and then: what is expired, idle or old is removed, words are counted."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from uaitools.memory.store.creating import Creating
from uaitools.memory.store.debts import Debts
from uaitools.memory.store.memories import Memories
from uaitools.memory.store.sessions import Sessions
from uaitools.memory.store.statistics import Statistics
from uaitools.rounds import Rounds

EVERY: Final = 60.0  # seconds
COUNT: Final = 24 * 60  # rounds between two counts of the words, once there are enough of them
REMEMBERED: Final = timedelta(hours=24)  # that an Idempotency-Key is known
OWED: Final = timedelta(minutes=5)  # longer than anything is loaded and then kept as a copy
_AT_ONCE: Final = 1000  # rows
_SESSIONS: Final = 20  # at once: each may have many messages


class Upkeep(Rounds):
    """Does it until it is stopped. keep_days: that an idle session is kept, None for ever."""

    def __init__(
        self,
        memories: Memories,
        creating: Creating,
        sessions: Sessions,
        statistics: Statistics,
        debts: Debts,
        *,
        keep_days: float | None,
    ) -> None:
        super().__init__(self._keep_up, EVERY, "upkeep of memories")
        self.expired = 0
        self._memories = memories
        self._creating = creating
        self._debts = debts
        self._sessions = sessions
        self._keep = None if keep_days is None else timedelta(days=keep_days)
        self._statistics = statistics
        self._done = 0  # rounds

    def __repr__(self) -> str:
        return f"<Upkeep expired={self.expired}>"

    async def expire(self) -> int:
        """Remove what has expired; how many there were."""
        total = 0
        while True:
            count = await self._memories.remove_expired(_AT_ONCE)
            total += count
            if count < _AT_ONCE:
                self.expired += total
                return total

    async def _keep_up(self) -> None:
        if self._done % COUNT == 0 or not self._statistics.known:
            await self._statistics.refresh()
        self._done += 1
        await self.expire()
        if self._keep is not None:
            while await self._sessions.end_idle(self._keep, _SESSIONS):
                pass
        await self._creating.forget_keys(REMEMBERED)
        await self._debts.write_off(OWED)
