"""What watchers of this registry have applied, told to Redis, where drains everywhere find it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from uaitools.redis_link import Answer, Argument, Away
from uaitools.registry.store.script import APPLIED, LATE, SECOND
from uaitools.registry.watchers import Audience

CHUNK: Final = 2000  # told in one call
ELSEWHERE: Final = "watchers of other registries"


class Acknowledgements:
    """Those that are known here, and those that are still to be told.

    registry: who tells of them. call: runs a script.
    """

    __slots__ = ("_audience", "_call", "_lock", "_registry", "_untold")

    def __init__(self, registry: str, call: Callable[..., Awaitable[Answer]]) -> None:
        self._registry = registry
        self._call = call
        self._audience = Audience()
        self._untold: dict[tuple[str, str], int | None] = {}  # None for one that leaves
        self._lock = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<Acknowledgements {self._audience!r} untold={len(self)}>"

    def __len__(self) -> int:
        return len(self._untold)

    def acknowledge(self, service: str, watcher: str, revision: int, now: float) -> None:
        """See Store.acknowledge; to be told."""
        self._audience.acknowledge(service, watcher, revision, now)
        self._untold[service, watcher] = revision

    def leave(self, service: str, watcher: str) -> None:
        """See Store.leave; to be told."""
        if self._audience.leave(service, watcher):
            self._untold[service, watcher] = None

    def begin_anew(self) -> None:
        """History is another one: all of them live, and have applied nothing of it."""
        self._untold.update(dict.fromkeys(self._audience, 0))

    def expire(self, now: float) -> None:
        """See Audience.expire."""
        self._audience.expire(now)

    async def tell(self) -> None:
        """Tell all that was noted before. Raises Away."""
        async with self._lock:
            while self._untold:
                told = dict(list(self._untold.items())[:CHUNK])
                for key in told:
                    del self._untold[key]
                words: list[Argument] = []
                for (service, watcher), revision in told.items():
                    words += (service, watcher, "" if revision is None else revision)
                try:
                    await self._call(APPLIED, *words)
                except BaseException:  # also when who waited for it has gone
                    self._untold = told | self._untold
                    raise

    async def behind(
        self, service: str, revision: int, revised: float, now: float
    ) -> tuple[str, ...]:
        """See Store.behind. While others cannot be asked, their watchers count as one."""
        try:
            await self.tell()
            _, unsettled, unconfirmed, late = await self._call(
                LATE, service, revision, int(revised * SECOND), self._registry
            )
        except Away as error:
            found = self._audience.behind(service, revision, now)
            return (*found, f"{ELSEWHERE} ({error})")
        names = sorted(one.decode() for one in late)
        if unsettled:
            names.append(f"{ELSEWHERE} (history was lost)")
        if unconfirmed:
            names.append(f"{ELSEWHERE} (one of these has not answered yet)")
        return tuple(names)
