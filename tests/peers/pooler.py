"""A pooler that takes LISTEN and delivers nothing, as those that hand sessions round do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

_NOTICE: Final = b"A"  # NotificationResponse


class Pooler:
    """Stands before a server's socket. deaf: notices do not come through. cut: ends all."""

    def __init__(self, target: Path) -> None:
        self.deaf = True
        self._target = target
        self._ends: set[asyncio.StreamWriter] = set()

    def cut(self) -> None:
        """End all connections."""
        for end in tuple(self._ends):
            end.transport.abort()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(str(self._target))
        self._ends |= {writer, back}
        try:
            await asyncio.gather(self._ask(reader, back), self._answer(there, writer))
        finally:
            for end in (writer, back):
                self._ends.discard(end)
                end.transport.abort()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, RuntimeError):
            while data := await reader.read(65_536):
                writer.write(data)
        writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, RuntimeError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readexactly(5)
                body = await reader.readexactly(int.from_bytes(head[1:]) - 4)
                if not (self.deaf and head.startswith(_NOTICE)):
                    writer.write(head + body)
        writer.transport.abort()


@contextlib.asynccontextmanager
async def pooler(target: Path, socket: Path) -> AsyncIterator[Pooler]:
    """One that listens at `socket` and leads to that of a server."""
    one = Pooler(target)
    server = await asyncio.start_unix_server(one.accept, str(socket))
    try:
        yield one
    finally:
        server.close()
        one.cut()
        await server.wait_closed()
