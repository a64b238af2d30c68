"""Copies of memories as they are shown, in a cache. What one says was true a moment ago.

- A key says whose memory it is, and which; no user's id has the line break that stands between. So
  a foreign id is looked for where nothing is, and then read and refused by the one statement that
  refuses an absent one. What is not there is not kept.
- Who changes or removes a row names it to `Scopes.of` or `writing`, and the copy is forgotten after
  the commit, also where nobody knows whether there was one. Who has read before that, in whatever
  process, finds no room for what he has read: see uaitools.cache. Nothing else has to say anything.
  What is created or imported has an id that had no row, and so no copy; an expired memory is known
  by its copy, as exactly as the clocks of service and database agree; analysis is not shown; and
  `access_count` and `accessed_at` may be as old as the copy.
- Processes that share a Redis see what any of them has answered. One that could not reach Redis, or
  died before it did, has left a debt in the database, in the transaction of the change: the others
  are told of it at the commit, or find it in a moment, and have the copy forgotten; see
  uaitools.memory.paying. (Who cannot reach Redis himself reads anew, or waits for a statement of
  his process that has begun.) Caches within processes are told in the same way, and keep a copy for
  LOCAL seconds where they do not hear.
- The deletion of a user is not complete before the cache was told by whoever drives it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from time import time
from typing import Final
from uuid import UUID

from uaitools.cache.service import CacheService
from uaitools.memory.rendering import Rendered

LOCAL: Final = 2.0  # seconds that a copy is kept within a process
SHARED: Final = 60.0  # seconds that one is kept where all processes look for it


class Copies:
    """The copies of the rows of one database.

    ttl: seconds that one is kept. place: a word that no other database in the cache has.
    """

    __slots__ = ("_cache", "_place", "_ttl")

    def __init__(self, cache: CacheService, ttl: float, place: str = "") -> None:
        self._cache = cache
        self._ttl = ttl
        self._place = place

    def __repr__(self) -> str:
        return f"<Copies {self._cache!r} ttl={self._ttl:g}>"

    async def get(self, user: str, name: UUID, read: Callable[[], Awaitable[Rendered]]) -> Rendered:
        """A memory, by `read` where there is no copy; all who wait for one share what is read.

        Raises what `read` does.
        """

        async def load() -> bytes:
            return (await read()).written

        copy = Rendered.read(await self._cache.fetch(self._key(user, name), load, self._ttl))
        # It has expired, or the database's clock is not ours: let that one say.
        return copy if copy.expires > time() else await read()

    async def forget(self, user: str, *names: UUID) -> bool:
        """Forget copies of a user's memories. False where others could not be told."""
        return await self.forget_each([(user, name) for name in names])

    async def forget_all(self, user: str) -> bool:
        """Forget all copies of a user's memories. False where others could not be told."""
        return await self.forget_each([(user, None)])

    async def forget_each(self, which: Iterable[tuple[str, UUID | None]]) -> bool:
        """Forget copies of users' memories, all of a user's for None. False as above."""
        return await self._cache.delete(*(self._key(user, name) for user, name in which))

    def _key(self, user: str, name: UUID | None) -> str:
        """Where a copy is; without a name it is the scope of all of a user's."""
        return f"{self._place} {user}\n{'' if name is None else name}"
