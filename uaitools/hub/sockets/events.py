"""Server-sent events as a socket: what a session gets becomes events, and nothing comes by it.

Every event's id is the place in all channels of the stream, so that the last one suffices to go on.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Final

import orjson
from aiohttp import hdrs, web

from uaitools.hub.closing import Closing
from uaitools.hub.frames import split
from uaitools.hub.place import Place, write_places
from uaitools.hub.sockets.outbox import Outbox
from uaitools.hub.sockets.port import PATIENCE, Receiver

_ALIVE: Final = b": still here\n\n"
_HEADERS: Final = {
    hdrs.CONTENT_TYPE: "text/event-stream",
    hdrs.CACHE_CONTROL: "no-store",
    "X-Accel-Buffering": "no",  # nginx would keep events until it has a page of them
}


class EventSocket:
    """See sockets.port. places: where the client is in each channel, as events move it."""

    __slots__ = (
        "_closing",
        "_loop",
        "_outbox",
        "_receiver",
        "_request",
        "heard",
        "places",
        "sent",
    )

    def __init__(self, receiver: Receiver, request: web.Request) -> None:
        self._loop = asyncio.get_running_loop()
        self._receiver = receiver
        self._request = request
        self._outbox = Outbox()
        self._closing: Closing | None = None
        self.places: dict[str, Place] = {}
        self.heard = self._loop.time()
        self.sent = 0

    def __repr__(self) -> str:
        return f"<EventSocket {write_places(self.places)} {self._outbox!r}>"

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

    async def serve(self) -> web.StreamResponse:
        """Answer the request, and return when the client has gone or the stream was ended."""
        response = web.StreamResponse(headers=_HEADERS)
        try:
            with suppress(ConnectionError):
                await response.prepare(self._request)
                self._receiver.opened()
                while (piece := await self._outbox.take()) is not None:
                    await response.write(piece)
                    # A client says nothing: that it reads is how it shows that it lives.
                    self.heard = self._loop.time()
                    self.sent += len(piece)
                    if self._outbox.sent(piece):
                        self._receiver.resumed()
        finally:
            self._outbox.close()
            self._receiver.lost()
        return response

    def begin(self, subscribed: list[dict[str, Any]]) -> None:
        """Say which channels there are, and from where; `places` has them."""
        self._put("subscribed", orjson.dumps({"channels": subscribed}))

    def write(self, frames: bytes) -> None:
        """See Socket.write."""
        for _, text in split(frames):
            self._event(text)

    def ping(self) -> None:
        """See Socket.ping."""
        self._outbox.put(_ALIVE)

    def end(self, closing: Closing) -> None:
        """See Socket.end."""
        if self._closing is None:
            self._closing = closing
            said = {"code": closing.code, "reason": closing.reason, "again": closing.reconnect}
            self._put("closed", orjson.dumps(said))
            self._outbox.close()
            self._loop.call_later(PATIENCE, self.cut_off)

    def cut_off(self) -> None:
        """See Socket.cut_off."""
        transport = self._request.transport
        if transport is not None:
            transport.abort()

    def _event(self, text: bytes) -> None:
        said = orjson.loads(text)
        channel, kind = said.get("channel"), said["type"]
        if channel is not None and channel not in self.places:
            return  # every connection has some channels from its start; a stream has those named
        match said:
            case {"offset": int(offset), "epoch": str(epoch)}:  # a reset: no message has an epoch
                self.places[channel] = Place(epoch, offset)
            case {"offset": int(offset)}:
                self.places[channel] = Place(self.places[channel].epoch, offset)
                kind = "message"
            case {"type": "gap", "to": int(last)}:
                self.places[channel] = Place(self.places[channel].epoch, last)
        self._put(kind, text)

    def _put(self, kind: str, text: bytes) -> None:
        place = write_places(self.places).encode()
        self._outbox.put(b"event: %b\nid: %b\ndata: %b\n\n" % (kind.encode(), place, text))
