"""An upstream that does exactly what a test says, and remembers every byte and connection."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from tests.peers.wire import PATIENCE, Message, Wire
from uaitools.tasks import spawn

Script = Callable[[Wire], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Scripted:
    """A server whose connections each run `script`.

    wires: all connections so far. requests: the messages that `answering` scripts have read.
    """

    def __init__(self, script: Script) -> None:
        self.script = script
        self.wires: list[Wire] = []
        self.failures: list[BaseException] = []
        self.port = 0
        self.path = ""
        self.context: ssl.SSLContext | None = None  # of the loop's own TLS
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._accepted = asyncio.Event()

    @property
    def url(self) -> str:
        scheme = "http" if self.context is None else "https"
        return f"unix:{self.path}" if self.path else f"{scheme}://127.0.0.1:{self.port}"

    @property
    def received(self) -> bytes:
        """Every byte of every connection."""
        return b"".join(bytes(wire.received) for wire in self.wires)

    @property
    def open(self) -> int:
        """Connections that are not gone."""
        return sum(not wire.lost for wire in self.wires)

    async def accepted(self, count: int = 1) -> Wire:
        """Wait for the connection number `count`."""
        async with asyncio.timeout(PATIENCE):
            while len(self.wires) < count:
                self._accepted.clear()
                await self._accepted.wait()
        return self.wires[count - 1]

    async def start(self, port: int = 0, path: str = "") -> None:
        loop = asyncio.get_running_loop()
        if path:
            self.path = path
            self._server = await loop.create_unix_server(self._connection, path)
        else:
            self._server = await loop.create_server(
                self._connection, "127.0.0.1", port, ssl=self.context
            )
            self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Refuse new connections, end those there are."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for wire in self.wires:
            if not wire.lost:
                wire.transport.abort()
        for wire in self.wires:
            await wire.finish()

    def _connection(self) -> Wire:
        return _Accepted(self)

    def begin(self, wire: Wire) -> None:
        self.wires.append(wire)
        self._accepted.set()
        task = spawn(self._run(wire), name="upstream script")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, wire: Wire) -> None:
        try:
            await self.script(wire)
        except EOFError:
            pass  # the gateway has closed: scripts need not care
        except AssertionError as error:
            self.failures.append(error)
            wire.reset()
        wire.finished = True
        if wire.ended and not wire.lost:
            wire.close()


class _Accepted(Wire):
    def __init__(self, server: Scripted) -> None:
        super().__init__()
        self._scripted = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._scripted.begin(self)


class Answering(Scripted):
    """Reads whole requests and answers each with the next of `answers`, the last one for ever."""

    def __init__(self, *answers: bytes) -> None:
        super().__init__(self._serve)
        self.answers = list(answers) or [OK]
        self.requests: list[Message] = []

    async def _serve(self, wire: Wire) -> None:
        while not wire.ended or wire.unread:
            request = await wire.message()
            self.requests.append(request)
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            wire.send(answer)


@contextlib.asynccontextmanager
async def upstream(script: Script | None = None, **where: Any) -> AsyncIterator[Scripted]:
    """A running Scripted."""
    assert script is not None
    server = Scripted(script)
    await server.start(**where)
    try:
        yield server
    finally:
        await server.stop()
    assert not server.failures, server.failures


@contextlib.asynccontextmanager
async def answering(*answers: bytes, **where: Any) -> AsyncIterator[Answering]:
    """A running Answering."""
    server = Answering(*answers)
    await server.start(**where)
    try:
        yield server
    finally:
        await server.stop()
    assert not server.failures, server.failures


def answer(
    body: bytes = b"ok", status: bytes = b"200 OK", headers: bytes = b"", *, length: bool = True
) -> bytes:
    """The bytes of a response; headers: lines with CR LF."""
    framing = b"Content-Length: %d\r\n" % len(body) if length else b""
    return b"HTTP/1.1 %b\r\n%b%b\r\n%b" % (status, headers, framing, body)


async def hang(wire: Wire) -> None:
    """Read a request, and never answer."""
    await wire.head()
    await wire.rest()
