"""How the index is, asked now and then: nobody has to search or to write to find out."""

from __future__ import annotations

from typing import Final

from uaitools import log
from uaitools.memory.index.port import VectorIndex
from uaitools.memory.store.indexing import IndexedBy, Indexing
from uaitools.memory.store.outbox import Backlog, Outbox
from uaitools.rounds import Rounds

EVERY: Final = 5.0  # seconds
LATE: Final = 5.0  # seconds that a memory is marked, after which it is told that it is not found

_log = log.get_logger(__name__)


class IndexWatch(Rounds):
    """Asks. healthy: whether the index answered last; backlog: how far it was behind then.

    own: what this index is. foreign: another service has begun since with another index or model,
    and this one lacks ever more. filling: it stands in for another one, and is being filled.
    """

    def __init__(
        self, index: VectorIndex, outbox: Outbox, indexing: Indexing, own: IndexedBy
    ) -> None:
        super().__init__(self.look, EVERY, "watch the index")
        self.healthy = True
        self.foreign = False
        self.filling = False
        self.backlog = Backlog(0, 0.0)
        self._index = index
        self._outbox = outbox
        self._indexing = indexing
        self._own = own

    def __repr__(self) -> str:
        return f"<IndexWatch {self._own} healthy={self.healthy} lacks={self.lacks}>"

    @property
    def lacks(self) -> bool:
        """Whether there are memories that it will not have soon."""
        return self.foreign or self.filling

    async def lacks_of(self, user: str) -> bool:
        """Whether there are such of a user, or some that it should have by now.

        Only asked of the database while anybody has such. Raises Busy and ServiceError.
        """
        return self.lacks or (self.backlog.age > LATE and await self._outbox.late(user, LATE))

    async def look(self) -> None:
        """Look once. Raises ServiceError where the database is away."""
        healthy = await self._index.health()
        if healthy != self.healthy:
            _log.warning("the index answers again" if healthy else "the index does not answer")
        self.healthy = healthy
        self.backlog = await self._outbox.backlog()
        current = await self._indexing.current()
        foreign = not self.filling and current is not None and current != self._own
        if foreign and not self.foreign:
            _log.error(
                "another service of this database has another index or embedder; give all the same",
                own=str(self._own),
                other=str(current),
            )
        self.foreign = foreign
