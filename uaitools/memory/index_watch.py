"""How the index is, asked now and then: nobody has to search or to write to find out."""

from __future__ import annotations

from typing import Final

from uaitools import log
from uaitools.memory.index.port import VectorIndex
from uaitools.memory.rounds import Rounds
from uaitools.memory.store.outbox import Backlog, Outbox

EVERY: Final = 5.0  # seconds

_log = log.get_logger(__name__)


class IndexWatch:
    """Asks. healthy: whether the index answered last; backlog: how far it was behind then."""

    def __init__(self, index: VectorIndex, outbox: Outbox) -> None:
        self.healthy = True
        self.backlog = Backlog(0, 0.0)
        self._index = index
        self._outbox = outbox
        self._rounds = Rounds(self.look, EVERY, "watch the index")

    def __repr__(self) -> str:
        return f"<IndexWatch healthy={self.healthy} {self.backlog!r}>"

    async def start(self) -> None:
        """Look from now on."""
        await self._rounds.start()

    async def stop(self) -> None:
        """Look no more."""
        await self._rounds.stop()

    async def look(self) -> None:
        """Look once. Raises ServiceError where the database is away."""
        healthy = await self._index.health()
        if healthy != self.healthy:
            _log.warning("the index answers again" if healthy else "the index does not answer")
        self.healthy = healthy
        self.backlog = await self._outbox.backlog()
