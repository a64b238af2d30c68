"""GET /echo: a WebSocket that says what it hears, for the Autobahn testsuite."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from uaitools.auth.middleware import access
from uaitools.hub.frames import BINARY, TEXT, encode
from uaitools.hub.handshake import accept
from uaitools.hub.sockets.handover import hand_over
from uaitools.hub.sockets.native import NativeSocket

LARGEST: Final = 32 * 1024 * 1024  # bytes of a message: the testsuite sends 16 MiB


class Echo:
    """A receiver that says what it hears."""

    __slots__ = ("socket",)

    def __init__(self) -> None:
        self.socket = NativeSocket(self, LARGEST)

    def __repr__(self) -> str:
        return f"<Echo {self.socket!r}>"

    def opened(self) -> None:
        """See sockets.port.Receiver."""

    def text(self, text: str) -> None:
        """See sockets.port.Receiver."""
        self.socket.write(encode(TEXT, text.encode()))

    def binary(self, data: bytes) -> None:
        """See sockets.port.Receiver."""
        self.socket.write(encode(BINARY, data))

    def resumed(self) -> None:
        """See sockets.port.Receiver."""

    def lost(self) -> None:
        """See sockets.port.Receiver."""


@access("none")
async def echo(request: web.Request) -> web.StreamResponse:
    """GET /echo."""
    return hand_over(request, accept(request.headers), Echo().socket)
