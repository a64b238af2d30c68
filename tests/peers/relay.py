"""A way to a server that tests interrupt: answers that get lost, connections that are cut."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from tests.peers.gateways import eventually


class Relay:
    """Passes bytes between its own port and another one.

    mute: what the server says is thrown away. closed: who connects is sent away. flowing: while it
    is not set, what the server says is not read.
    """

    def __init__(self, target: int) -> None:
        self.mute = False
        self.closed = False
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.port = 0
        self._target = target
        self._ends: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    def cut(self) -> None:
        """Cut all connections."""
        for end in self._ends:
            end.transport.abort()
        self.flowing.set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        await eventually(lambda: not self._ends)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._ends.add(writer)
        try:
            if not self.closed:
                await self._relay(reader, writer)
        finally:
            self._ends.discard(writer)
            writer.close()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:  # it is away, and whoever wants it sees that
            return
        self._ends.add(back)
        try:
            await asyncio.gather(
                self._pass(reader, back, answers=False), self._pass(there, writer, answers=True)
            )
        finally:
            self._ends.discard(back)
            back.close()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool
    ) -> None:
        with contextlib.suppress(OSError, RuntimeError):  # uvloop's for an end that was cut
            while data := await reader.read(65_536):
                if not (answers and self.mute):
                    writer.write(data)
                    await writer.drain()
                if answers:
                    await self.flowing.wait()
        writer.transport.abort()


@contextlib.asynccontextmanager
async def relay(target: int) -> AsyncIterator[Relay]:
    one = Relay(target)
    await one.start()
    try:
        yield one
    finally:
        await one.stop()
