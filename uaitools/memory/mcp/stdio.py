"""Memories of one user, for the assistant that has started this program."""

from __future__ import annotations

import asyncio
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import anyio
from mcp.shared.message import SessionMessage

from uaitools import log
from uaitools.config import ConfigError
from uaitools.memory.mcp.pipes import Pipes
from uaitools.memory.mcp.server import mcp_server
from uaitools.tasks import spawn

if TYPE_CHECKING:
    from uaitools.memory.service import MemoryService

_IN, _OUT, _ERROR = 0, 1, 2
_NO_PIPES: Final = (
    "mcp is started by an assistant, with pipes as its standard input and output;"
    " give it this command line in its settings"
)
_log = log.get_logger(__name__)


def claimed() -> Pipes:
    """Standard input and output, for the protocol alone.

    What else is written to standard output goes to standard error from now on, and programs that
    are started here inherit neither. Raises ConfigError where they are no pipes.
    """
    with suppress(OSError):  # closed
        if _is_pipe(_IN) and _is_pipe(_OUT):
            pipes = Pipes(os.dup(_IN), os.dup(_OUT))
            nothing = os.open(os.devnull, os.O_RDONLY)
            os.dup2(nothing, _IN)
            os.close(nothing)
            os.dup2(_ERROR, _OUT)
            return pipes
    raise ConfigError([_NO_PIPES])


def _is_pipe(descriptor: int) -> bool:
    mode = os.fstat(descriptor).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


class StdioServer:
    """A service of `lifecycle.run`, which ends when `ended` returns. user: whose memories."""

    def __init__(self, service: MemoryService, user: str, pipes: Pipes) -> None:
        self._service = service
        self._user = user
        self._pipes = pipes
        self._serving: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<StdioServer user={self._user} {self._pipes!r} {self._service!r}>"

    async def start(self) -> None:
        """Open what it needs, then read. Raises what MemoryService.start does."""
        await self._service.start()
        try:
            await self._pipes.open()
        except BaseException:
            await self._service.stop()
            raise
        self._serving = spawn(self._serve(), name="mcp over stdio")
        _log.info("serving an assistant", user=self._user)

    async def ended(self) -> None:
        """Return when the assistant has closed its end, and everything is answered."""
        assert self._serving is not None
        await asyncio.wait({self._serving})

    async def drain(self, deadline: float) -> None:
        """Read no more, and answer what was asked."""
        del deadline  # the caller stops waiting by then
        self._pipes.hang_up()
        await self.ended()

    async def stop(self) -> None:
        """Release everything."""
        assert self._serving is not None
        self._serving.cancel()
        await self.ended()
        self._pipes.close()
        await self._service.stop()

    async def _serve(self) -> None:
        server = mcp_server(self._service, lambda _: self._user)
        read, received = anyio.create_memory_object_stream[SessionMessage | Exception]()
        sent, written = anyio.create_memory_object_stream[SessionMessage]()
        reading = spawn(self._pipes.read(read), name="mcp reads")
        writing = spawn(self._pipes.write(written), name="mcp writes")
        try:
            await server.run(received, sent, server.create_initialization_options())
            await writing
        finally:
            reading.cancel()
            writing.cancel()
            await asyncio.wait({reading, writing})
