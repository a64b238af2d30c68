"""How much one user may have under way at once, so that there is room for the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from uaitools.memory.errors import Busy

WAITING: Final = 100  # of a user
WAIT: Final = 5.0  # seconds


class Shares:
    """Of each user so many at once; the next ones wait, each user's behind that user's own.

    each: under way at once. waiting: how many more of a user may wait, and wait: for how many
    seconds. refused: how many could not. A user of whom nothing is under way takes no room.
    """

    __slots__ = ("_each", "_most", "_users", "_wait", "refused")

    def __init__(self, each: int, waiting: int = WAITING, wait: float = WAIT) -> None:
        self.refused = 0
        self._each = each
        self._most = each + waiting
        self._wait = wait
        self._users: dict[str, _Turns] = {}

    def __repr__(self) -> str:
        asked = sum(one.asked for one in self._users.values())
        return f"<Shares each={self._each} users={len(self._users)} asked={asked}>"

    @asynccontextmanager
    async def of(self, user: str) -> AsyncIterator[None]:
        """Have a turn of a user's. Raises Busy when too many wait, or one waits for too long."""
        turns = self._users.get(user)
        if turns is None:
            turns = self._users[user] = _Turns(self._each)
        elif turns.asked >= self._most:
            self._refuse()
        turns.asked += 1
        try:
            await self._turn(turns.free)
            try:
                yield
            finally:
                turns.free.release()
        finally:
            turns.asked -= 1
            if not turns.asked:
                del self._users[user]

    async def _turn(self, free: asyncio.Semaphore) -> None:
        if not free.locked():  # nearly always, and without a timer
            await free.acquire()
            return
        try:
            async with asyncio.timeout(self._wait):
                await free.acquire()
        except TimeoutError:
            self._refuse()

    def _refuse(self) -> None:
        self.refused += 1
        raise Busy


class _Turns:
    """Of one user. asked: how many have one, or wait for it."""

    __slots__ = ("asked", "free")

    def __init__(self, each: int) -> None:
        self.asked = 0
        self.free = asyncio.Semaphore(each)
