"""How often memories are read: counted here, and added to the rows now and then.

What is not written yet when a process dies is lost. A row that has gone is not made again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final
from uuid import UUID

from uaitools import log
from uaitools.errors import ServiceError
from uaitools.memory.model import Named
from uaitools.memory.store.scope import Scopes
from uaitools.memory.store.statements import pairs
from uaitools.rounds import Rounds

EVERY: Final = 1.0  # seconds
MOST: Final = 10_000  # memories that are counted at once; others are not

# In one order: two processes that count the same would wait for each other.
_ADD: Final = """
    WITH there AS (
        SELECT user_id, id, times FROM memories
        JOIN unnest($1::text[], $2::uuid[], $3::bigint[]) AS read (user_id, id, times)
        USING (user_id, id) ORDER BY user_id, id FOR NO KEY UPDATE OF memories
    )
    UPDATE memories SET access_count = access_count + there.times, accessed_at = now()
    FROM there WHERE memories.user_id = there.user_id AND memories.id = there.id
"""
_log = log.get_logger(__name__)


class Touches(Rounds):
    """Counts. dropped: those that there was no room for."""

    def __init__(self, scopes: Scopes) -> None:
        super().__init__(self.flush, EVERY, "count reads")
        self.dropped = 0
        self._scopes = scopes
        self._counts: Counter[Named] = Counter()

    def __repr__(self) -> str:
        return f"<Touches memories={len(self._counts)} dropped={self.dropped}>"

    async def stop(self) -> None:
        """Write what was counted."""
        await super().stop()
        await self.flush()

    def add(self, user: str, names: Iterable[UUID]) -> None:
        """Memories of a user have been read."""
        for name in names:
            named = (user, name)
            if named in self._counts or len(self._counts) < MOST:
                self._counts[named] += 1
            else:
                self.dropped += 1

    async def flush(self) -> None:
        """Write what was counted; it is dropped if the database is away."""
        counts, self._counts = self._counts, Counter()
        if not counts:
            return
        try:
            async with self._scopes.everyone() as connection:
                await connection.execute(_ADD, *pairs(counts), list(counts.values()))
        except ServiceError as error:
            self.dropped += counts.total()
            _log.warning("reads are not counted", memories=len(counts), reason=str(error))
