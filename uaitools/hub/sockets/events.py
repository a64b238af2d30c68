"""Server-sent events as a socket: what a session gets becomes events, and nothing comes by it.

Every event's id is the place in all channels of the stream, so that the last one suffices to go on.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

import orjson
from aiohttp import hdrs, web

from uaitools.hub.closing import Closing
from uaitools.hub.frames import split
from uaitools.hub.place import Place, write_places
from uaitools.hub.sockets.buffered import BufferedSocket
from uaitools.hub.sockets.port import Kind, Receiver

_ALIVE: Final = b": still here\n\n"
_HEADERS: Final = {
    hdrs.CONTENT_TYPE: "text/event-stream",
    hdrs.CACHE_CONTROL: "no-store",
    "X-Accel-Buffering": "no",  # nginx would keep events until it has a page of them
}


class EventSocket(BufferedSocket):
    """See sockets.port. places: where the client is in each channel, as events move it."""

    __slots__ = ("places",)

    kind: Final[Kind] = "event"

    def __init__(self, receiver: Receiver, request: web.Request) -> None:
        super().__init__(receiver, request)
        self.places: dict[str, Place] = {}

    def __repr__(self) -> str:
        return f"<EventSocket {write_places(self.places)} {self._outbox!r}>"

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
                    self._sent(piece)
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

    def _say_why(self, closing: Closing) -> None:
        said = {"code": closing.code, "reason": closing.reason, "again": closing.reconnect}
        self._put("closed", orjson.dumps(said))

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
