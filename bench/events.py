"""An upstream of server-sent events: `python -m bench.events EVENTS_PER_SECOND PORT...`.

Every GET gets an endless chunked event stream. All streams together get so many events a second,
each at its own moment: were many written at once, a proxy could relay them in one turn of its
loop, which tokens of a model, arriving one by one, never allow.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from typing import cast

import uvloop

from bench.ticker import Ticker

HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"token"}}]}\n\n'
CHUNK = b"%x\r\n%b\r\n" % (len(EVENT), EVENT)
HEALTH = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Streams = deque[asyncio.Transport]


class Source(asyncio.Protocol):
    """A connection that becomes a stream with its first request."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        if data.startswith(b"GET /health "):
            self._transport.write(HEALTH)
        elif self._transport not in self._streams:
            self._transport.write(HEAD)
            self._streams.append(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        if self._transport is not None and self._transport in self._streams:
            self._streams.remove(self._transport)


def emit(streams: Streams, count: int) -> None:
    """Send one event to each of the next `count` streams in turn."""
    for _ in range(min(count, len(streams))):
        streams[0].write(CHUNK)
        streams.rotate(-1)


async def serve(rate: float, ports: list[int]) -> None:
    """Listen on `ports` until the process ends."""
    streams: Streams = deque()
    loop = asyncio.get_running_loop()
    ticker = Ticker(1 / rate)
    loop.add_reader(ticker.fileno(), lambda: emit(streams, ticker.read()))
    for port in ports:
        await loop.create_server(lambda: Source(streams), "127.0.0.1", port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(float(sys.argv[1]), [int(port) for port in sys.argv[2:]]))
