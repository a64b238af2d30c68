"""A WebSocket of aiohttp's, for where a connection cannot be handed over."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from aiohttp import WSMsgType, web

from uaitools.hub.closing import Closing
from uaitools.hub.frames import split
from uaitools.hub.sockets.outbox import Outbox
from uaitools.hub.sockets.port import PATIENCE, Receiver
from uaitools.tasks import spawn

_PING: Final = b"\x89\x00"


class AiohttpSocket:
    """See sockets.port. largest: bytes of a message. Nothing is compressed."""

    __slots__ = (
        "_closing",
        "_loop",
        "_outbox",
        "_receiver",
        "_request",
        "_websocket",
        "heard",
        "sent",
    )

    def __init__(self, receiver: Receiver, request: web.Request, largest: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._receiver = receiver
        self._request = request
        # Pings are answered here, or nobody would hear that the client lives.
        self._websocket = web.WebSocketResponse(
            autoping=False, max_msg_size=largest, compress=False, timeout=PATIENCE
        )
        self._outbox = Outbox()
        self._closing: Closing | None = None
        self.heard = self._loop.time()
        self.sent = 0

    def __repr__(self) -> str:
        return f"<AiohttpSocket {self._outbox!r} sent={self.sent}>"

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

    async def serve(self) -> web.WebSocketResponse:
        """Answer the upgrade, and return when the connection has ended."""
        try:
            await self._websocket.prepare(self._request)
        except BaseException:
            self._receiver.lost()
            raise
        sending = spawn(self._send(), name="send to a client")
        try:
            self._receiver.opened()
            async for message in self._websocket:
                self.heard = self._loop.time()
                match message.type:
                    case WSMsgType.TEXT:
                        self._receiver.text(message.data)
                    case WSMsgType.BINARY:
                        self._receiver.binary(message.data)
                    case WSMsgType.PING:
                        with suppress(ConnectionError):
                            await self._websocket.pong(message.data)
        finally:
            self._receiver.lost()  # first: this task may be cancelled again while it waits
            self._outbox.close()
            sending.cancel()
            await asyncio.wait({sending})
        return self._websocket

    def write(self, frames: bytes) -> None:
        """See Socket.write."""
        self._outbox.put(frames)

    def ping(self) -> None:
        """See Socket.ping."""
        self._outbox.put(_PING)

    def end(self, closing: Closing) -> None:
        """See Socket.end."""
        if self._closing is None:
            self._closing = closing
            self._outbox.close()
            self._loop.call_later(PATIENCE, self.cut_off)

    def cut_off(self) -> None:
        """See Socket.cut_off."""
        transport = self._request.transport
        if transport is not None:
            transport.abort()

    async def _send(self) -> None:
        with suppress(ConnectionError):  # who listens to it finds out as well
            while (piece := await self._outbox.take()) is not None:
                for opcode, payload in split(piece):
                    await self._websocket.send_frame(payload, WSMsgType(opcode))
                self.sent += len(piece)
                if self._outbox.sent(piece):
                    self._receiver.resumed()
            if self._closing is not None:
                reason = self._closing.reason.encode()[:123]
                await self._websocket.close(code=self._closing.code, message=reason)
