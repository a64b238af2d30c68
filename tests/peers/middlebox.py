"""What stands between a client and a server: it may cut, refuse WebSockets, and lead elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from uaitools.tasks import spawn


class Middlebox:
    """Relays TCP. port: of the server. upgrades: False refuses WebSockets. deaf: refuse all."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.port = 0
        self.upgrades = True
        self.deaf = False
        self.refused = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def cut(self) -> None:
        """End all connections."""
        for writer in tuple(self._writers):
            writer.transport.abort()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = spawn(self._serve(reader, writer), name="middlebox")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        self.cut()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self._relay(reader, writer)
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if self.deaf or (not self.upgrades and b"upgrade: websocket" in head.lower()):
            self.refused += 1
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            writer.close()
            await writer.wait_closed()
            return
        there, here = await asyncio.open_connection("127.0.0.1", self.target)
        self._writers.add(here)
        try:
            here.write(head)
            sides = {
                spawn(_copy(reader, here), name="to the server"),
                spawn(_copy(there, writer), name="to the client"),
            }
            _, rest = await asyncio.wait(sides, return_when=asyncio.FIRST_COMPLETED)
            for side in rest:
                side.cancel()
            if rest:
                await asyncio.wait(rest)
        finally:
            self._writers.discard(here)
            here.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


@contextlib.asynccontextmanager
async def middlebox(port: int) -> AsyncIterator[Middlebox]:
    box = Middlebox(port)
    server = await asyncio.start_server(box.accept, "127.0.0.1", 0)
    box.port = server.sockets[0].getsockname()[1]
    try:
        yield box
    finally:
        server.close()
        await box.close()
        await server.wait_closed()
