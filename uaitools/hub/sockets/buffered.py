"""What the sockets have in common whose sending has to be waited for: an outbox, and an end."""

from __future__ import annotations

import asyncio

from aiohttp import web

from uaitools.hub.closing import Closing
from uaitools.hub.sockets.outbox import Outbox
from uaitools.hub.sockets.port import PATIENCE, Receiver


class BufferedSocket:
    """The part of sockets.port that does not depend on what is sent. Nothing is compressed."""

    __slots__ = ("_closing", "_loop", "_outbox", "_receiver", "_request", "heard", "sent")

    def __init__(self, receiver: Receiver, request: web.Request) -> None:
        self._loop = asyncio.get_running_loop()
        self._receiver = receiver
        self._request = request
        self._outbox = Outbox()
        self._closing: Closing | None = None
        self.heard = self._loop.time()
        self.sent = 0

    @property
    def paused(self) -> bool:
        """See Socket.paused."""
        return self._outbox.full

    @property
    def deflate(self) -> bool:
        """See Socket.deflate."""
        return False

    @property
    def kept(self) -> int:
        """See Socket.kept."""
        return self._outbox.size

    def end(self, closing: Closing) -> None:
        """See Socket.end."""
        if self._closing is None:
            self._closing = closing
            self._say_why(closing)
            self._outbox.close()
            self._loop.call_later(PATIENCE, self.cut_off)

    def cut_off(self) -> None:
        """See Socket.cut_off."""
        transport = self._request.transport
        if transport is not None:
            transport.abort()

    def _say_why(self, closing: Closing) -> None:
        """Put what is to be sent last, if it goes through the outbox."""

    def _sent(self, piece: bytes) -> None:
        """A piece of the outbox has been sent."""
        self.sent += len(piece)
        if self._outbox.sent(piece):
            self._receiver.resumed()
