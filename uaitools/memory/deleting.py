"""A user who was deleted goes from cache and index, and that is looked at before it is said."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from typing import Final

from uaitools import log
from uaitools.backoff import full_jitter
from uaitools.errors import ServiceError
from uaitools.memory.copies import Copies
from uaitools.memory.index.port import VectorIndex
from uaitools.memory.others import Others
from uaitools.memory.store.deletions import Deletions, Receipt
from uaitools.memory.store.departures import Departure
from uaitools.rounds import Rounds

LEASE: Final = 120.0  # seconds that one may work on a user
_ROUND: Final = 0.5  # seconds between two looks for what waits, or others have begun
_AT_ONCE: Final = 8
_LARGEST_PAUSE: Final = 60.0

_log = log.get_logger(__name__)


class Deleting(Rounds):
    """Drives deletions until it is stopped. completed: of users. patience: seconds."""

    def __init__(
        self,
        deletions: Deletions,
        index: VectorIndex,
        copies: Copies,
        others: Others,
        *,
        following: Rounds,
        patience: float,
    ) -> None:
        super().__init__(self._catch_up, _ROUND, "delete users")
        self.completed = 0
        self._copies = copies
        self._deletions = deletions
        self._departures = deletions.departures
        self._following = following
        self._index = index
        self._others = others
        self._patience = patience
        self._told = asyncio.Condition()

    def __repr__(self) -> str:
        return f"<Deleting completed={self.completed}>"

    async def delete(self, user: str) -> Receipt:
        """Delete a user; the receipt, complete unless a store takes longer than `patience`."""
        receipt = await self._deletions.begin(user)
        self.notify()
        self._following.notify()  # what it works on is looked at again before a deletion is over
        with suppress(TimeoutError):
            # Who tells waits for the lock: nothing is told between the look and the wait.
            async with asyncio.timeout(self._patience), self._told:
                while True:
                    receipt = await self._deletions.receipt(user, receipt.id) or receipt
                    if receipt.completed_at is not None:
                        break
                    await self._told.wait()
        return receipt

    async def drive(self) -> int:
        """Do what is claimed; how many users that were."""
        claimed = await self._departures.claim(_AT_ONCE, LEASE)
        for one in claimed:
            try:
                done = await self._remove(one)
            except ServiceError as error:
                _log.warning("a user is still in the index", reason=str(error))
                done = False
            if done:
                self.completed += 1
            else:
                await self._departures.failed(one, _pause(one.attempts))
        async with self._told:  # another process may have done it, too
            self._told.notify_all()
        return len(claimed)

    async def _remove(self, one: Departure) -> bool:
        """Remove a user from cache and index; whether a look at each finds nothing more."""
        told = await self._copies.forget_all(one.user_id)
        await self._index.delete_scope(one.user_id)
        held = [entry.id async for entry in self._index.ids(one.user_id)]
        # What they have made since may be there again already.
        ghosts = await self._departures.ghosts(one.user_id, held)
        if ghosts:
            await self._index.delete(one.user_id, ghosts)
        await self._others.tell((one.user_id,))
        return told and await self._departures.complete(one, len(ghosts))

    async def _catch_up(self) -> None:
        while await self.drive():
            pass


def _pause(attempts: int) -> float:
    """Seconds until the next attempt."""
    return full_jitter(attempts, random.random(), first=0.1, largest=_LARGEST_PAUSE)  # noqa: S311 - no secret
