"""A WebSocket of aiohttp's, for where a connection cannot be handed over."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from aiohttp import WSMsgType, web

from uaitools.hub.frames import PING_FRAME, split
from uaitools.hub.sockets.buffered import BufferedSocket
from uaitools.hub.sockets.port import PATIENCE, Kind, Receiver
from uaitools.tasks import spawn


class AiohttpSocket(BufferedSocket):
    """See sockets.port. largest: bytes of a message."""

    __slots__ = ("_websocket",)

    kind: Final[Kind] = "aiohttp"

    def __init__(self, receiver: Receiver, request: web.Request, largest: int) -> None:
        super().__init__(receiver, request)
        # Pings are answered here, or nobody would hear that the client lives.
        self._websocket = web.WebSocketResponse(
            autoping=False, max_msg_size=largest, compress=False, timeout=PATIENCE
        )

    def __repr__(self) -> str:
        return f"<AiohttpSocket {self._outbox!r} sent={self.sent}>"

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
        self._outbox.put(PING_FRAME)

    async def _send(self) -> None:
        with suppress(ConnectionError):  # who listens to it finds out as well
            while (piece := await self._outbox.take()) is not None:
                for opcode, payload in split(piece):
                    await self._websocket.send_frame(payload, WSMsgType(opcode))
                self._sent(piece)
            if self._closing is not None:
                reason = self._closing.reason.encode()[:123]
                await self._websocket.close(code=self._closing.code, message=reason)
