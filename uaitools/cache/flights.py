"""Loads under way: one for a lease of a key, and all who are given that wait for that one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final

from uaitools.cache.port import scope_of
from uaitools.errors import ServiceError
from uaitools.tasks import spawn

_ENDED: Final = "the service is stopping; try again"

Key = tuple[str, bytes]  # and the token of its lease, b"" where there is none
Load = Callable[[], Coroutine[Any, Any, bytes]]


class Flights:
    """name: of the cache."""

    __slots__ = ("_by_key", "_flying", "_name")

    def __init__(self, name: str) -> None:
        self._name = name
        self._by_key: dict[Key, asyncio.Task[bytes]] = {}
        self._flying: set[asyncio.Task[bytes]] = set()  # forgotten ones as well

    def __repr__(self) -> str:
        return f"<Flights {self._name} keys={len(self._by_key)} flying={len(self._flying)}>"

    def __len__(self) -> int:
        return len(self._flying)

    def begin(self, key: Key, load: Load) -> bool:
        """Begin a load, unless one is under way; whether it was begun."""
        if key in self._by_key:
            return False
        flight = self._by_key[key] = spawn(load(), name=f"cache {self._name} loads")
        self._flying.add(flight)
        flight.add_done_callback(partial(self._landed, key))
        return True

    async def join(self, key: Key, load: Load) -> bytes:
        """What the load that is under way returns or raises; begin one if there is none.

        Cancelled, it leaves the load to the others. Raises ServiceError when `stop` ends it.
        """
        self.begin(key, load)
        flight = self._by_key[key]
        await asyncio.wait((flight,))
        if flight.cancelled():
            raise ServiceError(503, _ENDED, self._name)
        return flight.result()

    def forget(self, name: str) -> None:
        """Let nobody else join what is under way without a lease for a key, or within a scope."""
        names = [name]
        if name and name == scope_of(name):
            names = [key for key, _ in self._by_key if key.startswith(name)]
        for one in names:
            self._by_key.pop((one, b""), None)

    async def stop(self) -> None:
        """Cancel all loads."""
        flying = tuple(self._flying)
        for flight in flying:
            flight.cancel()
        if flying:
            await asyncio.wait(flying)

    def _landed(self, key: Key, flight: asyncio.Task[bytes]) -> None:
        self._flying.discard(flight)
        if self._by_key.get(key) is flight:
            del self._by_key[key]
        if not flight.cancelled():
            flight.exception()  # who waits has it; it is no news where nobody does any more
