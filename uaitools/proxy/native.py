"""The gateway's own aiohttp application as one more endpoint, connected in process.

A connection to it is a pair of facade transports, each of which hands what is written to the
other side's protocol. So framing, pipelining, header rules, metrics and tunnels exist once, for
native and proxied requests alike (measured against four other ways, docs/measurements.md).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from uaitools.proxy.routing.router import NativeRoute, Route

_HIGH_WATER = 64 * 1024


class FacadeTransport(asyncio.Transport):
    """One end of an in-process connection: what is written arrives at `peer`'s protocol.

    Data written while the other end reads nothing is kept until it does; its writer is asked to
    pause as a socket would ask it.
    """

    __slots__ = ("_closing", "_eof", "_held", "_held_up", "_loop", "_paused", "_protocol", "peer")

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: asyncio.BaseProtocol) -> None:
        super().__init__()
        self._loop = loop
        self._protocol: asyncio.BaseProtocol | None = protocol
        self._held: list[bytes] = []
        self._paused = False  # this end reads nothing; what arrives is held
        self._held_up = False  # so much of it that the writer waits
        self._closing = False
        self._eof = False
        self.peer: FacadeTransport | None = None

    def __repr__(self) -> str:
        return f"<FacadeTransport closing={self._closing} held={self.held}>"

    @property
    def held(self) -> int:
        """Bytes that wait until this end reads."""
        return sum(map(len, self._held))

    # -- writing: arrives at the peer -------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.peer is not None and not self._closing:
            self.peer.deliver(bytes(data))

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        if self.peer is not None and not self._closing:
            self.peer.deliver_eof()

    def get_write_buffer_size(self) -> int:
        return self.peer.held if self.peer is not None else 0

    # -- reading: what the peer has written -------------------------------------------------

    def deliver(self, data: bytes) -> None:
        """Bytes from the peer."""
        if self._paused:
            before = self.held
            self._held.append(data)
            if before <= _HIGH_WATER < before + len(data) and self.peer is not None:
                self._held_up = True
                self.peer.writer_must_wait(True)
        elif isinstance(self._protocol, asyncio.Protocol):
            self._protocol.data_received(data)

    def deliver_eof(self) -> None:
        """The peer writes no more."""
        self._eof = True
        if (
            not self._paused
            and isinstance(self._protocol, asyncio.Protocol)
            and not self._protocol.eof_received()
        ):
            self.close()

    def is_reading(self) -> bool:
        return not self._paused and not self._closing

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        if not self._paused:
            return
        self._paused = False
        held, self._held = self._held, []
        for index, data in enumerate(held):
            if self._paused:
                self._held = held[index:] + self._held
                return
            self.deliver(data)
        if self._held_up and self.peer is not None:
            self._held_up = False
            self.peer.writer_must_wait(False)
        if self._eof and not self._closing:
            self.deliver_eof()

    def writer_must_wait(self, wait: bool) -> None:
        """The other end reads nothing and holds enough, or reads on."""
        if self._protocol is not None:
            self._protocol.pause_writing() if wait else self._protocol.resume_writing()

    # -- closing ----------------------------------------------------------------------------

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if self._closing:
            return
        self._closing = True
        self._loop.call_soon(self._lose)
        if self.peer is not None:
            # The peer sees what was written before the close, then the end.
            self._loop.call_soon(self.peer.close)

    def abort(self) -> None:
        self._held.clear()
        self.close()

    def _lose(self) -> None:
        protocol, self._protocol = self._protocol, None
        if protocol is not None:
            for data in self._held:
                if isinstance(protocol, asyncio.Protocol):
                    protocol.data_received(data)
            self._held.clear()
            protocol.connection_lost(None)

    def get_protocol(self) -> asyncio.BaseProtocol:
        assert self._protocol is not None
        return self._protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol


def connector(server: web.Server) -> Callable[[Callable[[], asyncio.Protocol]], Awaitable[None]]:
    """How the pool opens connections to `server`, the protocol factory of an AppRunner."""

    async def connect(factory: Callable[[], asyncio.Protocol]) -> None:
        loop = asyncio.get_running_loop()
        upstream, handler = factory(), server()
        ours = FacadeTransport(loop, upstream)
        theirs = FacadeTransport(loop, handler)
        ours.peer, theirs.peer = theirs, ours
        handler.connection_made(theirs)
        upstream.connection_made(ours)

    return connect


def native_routes(app: web.Application) -> list[NativeRoute]:
    """The paths that `app` answers, which win over configured routes."""
    found: list[NativeRoute] = []
    for resource in app.router.resources():
        info = resource.get_info()
        route = Route(path=b"/", service=None, label=resource.canonical)
        if "path" in info:
            found.append(NativeRoute(info["path"].encode(), route))
        elif "pattern" in info:
            found.append(NativeRoute(re.compile(info["pattern"].pattern.encode()), route))
        else:
            prefix = re.escape(info["prefix"].rstrip("/"))
            found.append(NativeRoute(re.compile(f"{prefix}(?:/.*)?".encode()), route))
    return found


def forwarded(client: Callable[[str], str]) -> Middleware:
    """Give handlers the real client: a pooled connection would show the first one for ever.

    client: who speaks through the proxies of an X-Forwarded-For, see Peers.client.
    """

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        headers = request.headers
        return await handler(
            request.clone(
                remote=client(headers.get("X-Forwarded-For", "")),
                scheme=headers.get("X-Forwarded-Proto", "http"),
                host=headers.get("X-Forwarded-Host", request.host),
            )
        )

    return middleware
