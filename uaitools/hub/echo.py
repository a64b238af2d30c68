"""GET /echo: a WebSocket that says what it hears, for the Autobahn testsuite."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from uaitools.auth.middleware import access
from uaitools.hub import extensions
from uaitools.hub.deflate import deflated
from uaitools.hub.frames import BINARY, TEXT, encode
from uaitools.hub.handshake import accept
from uaitools.hub.sockets.handover import hand_over
from uaitools.hub.sockets.native import NativeSocket

LARGEST: Final = 32 * 1024 * 1024  # bytes of a message: the testsuite sends 16 MiB


class Echo:
    """A receiver that says what it hears."""

    __slots__ = ("socket",)

    def __init__(self, agreed: str) -> None:
        self.socket = NativeSocket(self, LARGEST, agreed)

    def __repr__(self) -> str:
        return f"<Echo {self.socket!r}>"

    def opened(self) -> None:
        """See sockets.port.Receiver."""

    def text(self, text: str) -> None:
        """See sockets.port.Receiver."""
        self._say(encode(TEXT, text.encode()))

    def binary(self, data: bytes) -> None:
        """See sockets.port.Receiver."""
        self._say(encode(BINARY, data))

    def _say(self, frame: bytes) -> None:
        self.socket.write(deflated(frame) if self.socket.deflate else frame)

    def resumed(self) -> None:
        """See sockets.port.Receiver."""

    def lost(self) -> None:
        """See sockets.port.Receiver."""


@access("none")
async def echo(request: web.Request) -> web.StreamResponse:
    """GET /echo."""
    accepted = accept(request.headers)
    agreed = extensions.agree(request.headers.getall(extensions.HEADER, ()), allowed=True)
    return hand_over(request, accepted, Echo(agreed).socket, extensions.line(agreed))
