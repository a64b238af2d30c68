"""Bounds of the admin API's connections: few, and none for long.

aiohttp waits for a request's head for ever, and accepts whoever comes: without these, whoever
reaches the admin API could take all files that the gateway may open.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from aiohttp.web_protocol import RequestHandler

CONNECTIONS: Final = 64
LIFETIME: Final = 60.0  # seconds; what is answered by then is answered
GRACE: Final = 5.0  # seconds for an answer under way then


class Connections:
    """Those that are open."""

    __slots__ = ("open", "refused")

    def __init__(self) -> None:
        self.open: set[Bounded] = set()
        self.refused = 0

    def __repr__(self) -> str:
        return f"<Connections open={len(self.open)} refused={self.refused}>"


class Bounded(asyncio.Protocol):
    """One connection, on its way to `handler`; one too many is reset."""

    def __init__(self, connections: Connections, handler: RequestHandler) -> None:
        self._connections = connections
        self._handler = handler
        self._accepted = False
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None

    def __repr__(self) -> str:
        return f"<Bounded accepted={self._accepted}>"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if len(self._connections.open) >= CONNECTIONS:
            self._connections.refused += 1
            self._transport.abort()
            return
        self._accepted = True
        self._connections.open.add(self)
        self._timer = asyncio.get_running_loop().call_later(LIFETIME, self._retire)
        self._handler.connection_made(transport)

    def _retire(self) -> None:
        """Let an answer under way be the last one."""
        self._handler.close()
        assert self._transport is not None
        self._timer = asyncio.get_running_loop().call_later(GRACE, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        if self._accepted:
            self._handler.data_received(data)

    def eof_received(self) -> None:
        if self._accepted:
            self._handler.eof_received()

    def pause_writing(self) -> None:
        if self._accepted:
            self._handler.pause_writing()

    def resume_writing(self) -> None:
        if self._accepted:
            self._handler.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._accepted:
            self._connections.open.discard(self)
            self._handler.connection_lost(exc)
