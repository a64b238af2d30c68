"""The addresses of endpoints' names, looked up when they are new and again every 30 s.

The system's resolver does not tell a record's TTL. Where a name has IPv4 addresses its IPv6 ones
are left out, else `localhost` would count twice for servers that listen on one family only.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Collection, Iterable
from typing import Final

from uaitools.ip import is_address
from uaitools.log import get_logger
from uaitools.tasks import spawn

INTERVAL: Final = 30.0  # seconds between two looks at a name
_TIMEOUT: Final = 5.0
_log = get_logger(__name__)


class Resolver:
    """What names stand for.

    names: asked for those that are to be followed. changed: told which stand for something else.
    """

    def __init__(
        self, names: Callable[[], set[str]], changed: Callable[[Collection[str]], None]
    ) -> None:
        self._names = names
        self._changed = changed
        self._known: dict[str, tuple[str, ...]] = {}  # the last good addresses
        self._tried: set[str] = set()  # names that have no turn before the next look at all
        self._new = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Resolver names={len(self._known)}>"

    def __len__(self) -> int:
        return len(self._known)

    def start(self) -> None:
        """Follow names from now on."""
        self._task = spawn(self._follow(), name="resolve endpoints")

    async def stop(self) -> None:
        """Stop following."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def addresses(self, host: str) -> tuple[str, ...]:
        """What `host`, a name or an address, stands for; nothing while that is unknown."""
        return (host,) if is_address(host) else self._known.get(host, ())

    async def learn(self, names: set[str]) -> None:
        """Look up those of `names` that are not known; forget those that nobody wants any more."""
        for known in self._known.keys() - names - self._names():
            del self._known[known]
        self._tried &= names
        await self._look_up(names - self._known.keys())

    def notice(self) -> None:
        """There may be new names to follow; they are looked up at once."""
        if self._unknown():
            self._new.set()

    def _unknown(self) -> set[str]:
        return self._names() - self._known.keys() - self._tried

    async def _follow(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + INTERVAL
        while True:
            try:
                async with asyncio.timeout_at(due):
                    await self._new.wait()
                self._new.clear()
                wanted = self._unknown()
            except TimeoutError:
                due = loop.time() + INTERVAL
                self._tried.clear()
                wanted = self._names()
            changed = await self._look_up(wanted)
            if changed:
                self._changed(changed)

    async def _look_up(self, names: Iterable[str]) -> set[str]:
        """Resolve names at the same time; a failure keeps what was known. Returns the changed."""
        wanted = sorted(names)
        self._tried.update(wanted)
        found = await asyncio.gather(*(_addresses(name) for name in wanted))
        changed: set[str] = set()
        for name, addresses in zip(wanted, found, strict=True):
            if addresses and set(addresses) != set(self._known.get(name, ())):
                self._known[name] = addresses
                changed.add(name)
        return changed


async def _addresses(name: str) -> tuple[str, ...]:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_TIMEOUT):
            found = await loop.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError, UnicodeError) as error:
        _log.warning("a name does not resolve", name=name, reason=str(error) or "timed out")
        return ()
    first = [str(info[4][0]) for info in found if info[0] == socket.AF_INET]
    return tuple(dict.fromkeys(first or [str(info[4][0]) for info in found]))
