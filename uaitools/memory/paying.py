"""Copies are forgotten whoever has changed the memory, and whatever has become of that process.

The database tells all processes of each change as it is committed, and keeps it as a debt. Who
hears of one has the copies forgotten before he reads any again, also while Redis is away. Where
copies are in Redis, each process looks for debts as well: what was said while it did not listen,
and what nobody could pay. Nobody's own are left out, since nobody knows whether he will live.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from uaitools.cache.remote import OWED
from uaitools.memory.copies import Copies
from uaitools.memory.store.debts import Debts
from uaitools.postgres.notices import Notices
from uaitools.rounds import Rounds
from uaitools.tasks import spawn

CHANNEL: Final = "copies"  # migrations/0003_outbox.sql says it as well
EVERY: Final = 0.5  # seconds between two looks
MOST: Final = OWED + 1  # debts that a look finds: so many that all copies are forgotten


class Paying(Rounds):
    """Hears of changes, and pays what is owed from its start until it is stopped."""

    def __init__(self, debts: Debts, copies: Copies, notices: Notices) -> None:
        super().__init__(self.pay, EVERY, "pay debts")
        self._debts = debts
        self._copies = copies
        notices.subscribe(CHANNEL, self)

    async def pay(self) -> None:
        """Have copies forgotten that may be old; what Redis could not be told is left."""
        while True:
            debts = await self._debts.owed(MOST)
            pairs = [(one.user_id, one.memory_id) for one in debts]
            if not debts or not await self._copies.forget_each(pairs):
                return
            await self._debts.paid(debts)
            if len(debts) < MOST:
                return

    def hear(self, texts: Sequence[str]) -> None:
        """See notices.Subscriber."""
        pairs = [_pair(text) for text in texts]
        spawn(self._copies.forget_each(pairs), name="forget copies")

    def listen(self, *, hears: bool) -> None:
        """See notices.Subscriber."""
        if hears:
            self.notify()


def _pair(text: str) -> tuple[str, UUID | None]:
    name, _, user = text.partition(" ")
    return user, UUID(name) if name else None
