"""All client connections of a gateway: how many there may be, and how much is kept for them."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Iterable, Iterator
from typing import Final, Protocol

from uaitools.log import get_logger
from uaitools.proxy.downstream import ClientPolicy, Downstream

_SPARE_FILES: Final = 640  # descriptors for upstream connections and all else but clients

_log = get_logger(__name__)


class Visitor(Protocol):
    """A connection within its TLS handshake, or one that is only redirected."""

    def cut_off(self) -> None:
        """End the connection at once."""


class Clients:
    """The open client connections, within `policy`, which a reload replaces."""

    def __init__(self, policy: ClientPolicy) -> None:
        self.policy = policy
        self._open: dict[Downstream, None] = {}  # in the order in which they came
        self._visitors: set[Visitor] = set()
        self._file_limit = _connection_limit()
        self._none_left = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Clients open={len(self._open)}>"

    def __len__(self) -> int:
        return len(self._open) + len(self._visitors)

    def __iter__(self) -> Iterator[Downstream]:
        return iter(tuple(self._open))  # what is done to one may take it out

    def add(self, client: Downstream) -> bool:
        """Count a connection in; False when it is one too many."""
        self._open[client] = None
        return len(self) <= (self.policy.connections or self._file_limit)

    def remove(self, client: Downstream) -> None:
        """A connection has ended."""
        self._open.pop(client, None)
        if not len(self):
            self._none_left.set()

    def greet(self, visitor: Visitor) -> bool:
        """Count in a connection that is no client yet, or never; False when it is one too many."""
        self._visitors.add(visitor)
        return len(self) <= (self.policy.connections or self._file_limit)

    def greeted(self, visitor: Visitor) -> None:
        """It has ended, or is a client's from now on."""
        self._visitors.discard(visitor)
        if not len(self):
            self._none_left.set()

    def cut_off(self) -> None:
        """End every connection at once."""
        for one in (*self._open, *self._visitors):
            one.cut_off()

    async def all_gone(self) -> None:
        """Wait until there is none."""
        if len(self):
            self._none_left.clear()
            await self._none_left.wait()

    def close_idle(self, _now: float) -> None:
        """Close those that wait for nothing; a hook of the sweep while the gateway drains."""
        for client in self:
            client.close_if_idle()

    def enforce_budget(self, _now: float) -> None:
        """Cut off those for whom most is kept, until what is kept for all is within the budget."""
        kept = {client: client.buffered() for client in _holders(self._open)}
        total = sum(kept.values())
        for client in sorted(kept, key=kept.__getitem__, reverse=True):
            if total <= self.policy.buffer:
                return
            _log.warning("buffer budget spent, a client is cut off", kept=total)
            total -= kept[client]
            client.cut_off()


def _holders(clients: Iterable[Downstream]) -> list[Downstream]:
    """Those for whom bytes may be kept: of answers, of later requests or of a body.

    All clients are asked four times a second: 0.1 us for each that is at rest.
    """
    # A property would cost three times as much.
    return [c for c in clients if c.full or c._exchange is not None or c._buffer]  # noqa: SLF001


def _connection_limit() -> int:
    """What the file limit leaves for clients; upstream connections are bounded by the services."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(64, files - _SPARE_FILES)
