"""What is done now and then: the expired removed, the words counted anew, old keys forgotten."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final

from uaitools import log
from uaitools.errors import ServiceError
from uaitools.memory.store.creating import Creating
from uaitools.memory.store.memories import Memories
from uaitools.memory.store.statistics import Statistics
from uaitools.tasks import spawn

EVERY: Final = 60.0  # seconds
COUNT: Final = 10  # rounds between two counts of the words
REMEMBERED: Final = timedelta(hours=24)  # that an Idempotency-Key is known
_AT_ONCE: Final = 1000  # rows

_log = log.get_logger(__name__)


class Upkeep:
    """Does it until it is stopped."""

    def __init__(self, memories: Memories, creating: Creating, statistics: Statistics) -> None:
        self.expired = 0
        self._memories = memories
        self._creating = creating
        self._statistics = statistics
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Upkeep expired={self.expired}>"

    async def start(self) -> None:
        """Do it from now on."""
        self._task = spawn(self._run(), name="upkeep of memories")

    async def stop(self) -> None:
        """Leave the rest for the next time."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def expire(self) -> int:
        """Remove what has expired; how many there were."""
        total = 0
        while True:
            count = await self._memories.remove_expired(_AT_ONCE)
            total += count
            if count < _AT_ONCE:
                self.expired += total
                return total

    async def _run(self) -> None:
        rounds = 0
        while True:
            try:
                if rounds % COUNT == 0:
                    await self._statistics.refresh()
                await self.expire()
                await self._creating.forget_keys(REMEMBERED)
            except ServiceError as error:
                _log.warning("upkeep failed", reason=str(error))
            rounds += 1
            await asyncio.sleep(EVERY)
