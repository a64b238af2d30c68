"""Messages over a pair of pipes, one a line."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Final

from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage
from mcp_types import (
    INVALID_REQUEST,
    PARSE_ERROR,
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    jsonrpc_message_adapter,
)
from pydantic import ValidationError

LONGEST: Final = 8 << 20  # bytes of a message, as of a request over HTTP
_PATIENCE: Final = 10.0  # seconds for what was asked before the end of input


class Pipes:
    """Reads requests and writes answers. incoming, outgoing: descriptors, which it closes.

    The library's own transport reads in a thread that no signal ends, and leaves unanswered what
    was asked just before the end of input.
    """

    def __init__(self, incoming: int, outgoing: int) -> None:
        self._descriptors = incoming, outgoing
        self._coming = asyncio.StreamReader(limit=LONGEST)
        self._owed: set[Any] = set()  # ids of requests without an answer
        self._paid = asyncio.Event()
        self._paid.set()

    def __repr__(self) -> str:
        return f"<Pipes owed={len(self._owed)}>"

    async def open(self) -> None:
        """Begin to read."""
        incoming, outgoing = self._descriptors
        loop = asyncio.get_running_loop()
        self._in, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(self._coming), os.fdopen(incoming, "rb", 0)
        )
        transport, protocol = await loop.connect_write_pipe(
            # Only its flow control is wanted, which has no public name of its own.
            lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()),
            os.fdopen(outgoing, "wb", 0),
        )
        self._out = asyncio.StreamWriter(transport, protocol, None, loop)

    def hang_up(self) -> None:
        """Read no more, as if the other side had closed its end."""
        self._in.close()

    def close(self) -> None:
        """Release everything."""
        self._in.close()
        self._out.close()

    async def read(self, to: MemoryObjectSendStream[SessionMessage | Exception]) -> None:
        """Hand on what comes, and at its end wait until everything is answered."""
        async with to:
            async for line in self._lines():
                try:
                    message = jsonrpc_message_adapter.validate_json(line, by_name=False)
                except ValidationError as error:
                    broken = error.errors(include_url=False)[0]["type"] == "json_invalid"
                    code = PARSE_ERROR if broken else INVALID_REQUEST
                    await self._refuse(code, "a line is one message of JSON-RPC 2.0")
                    continue
                self._owe(message)
                await to.send(SessionMessage(message))
            with suppress(TimeoutError):
                async with asyncio.timeout(_PATIENCE):
                    await self._paid.wait()

    async def write(self, messages: MemoryObjectReceiveStream[SessionMessage]) -> None:
        """Write what is said, until nothing more is."""
        async with messages:
            async for one in messages:
                await self._say(one.message)
                if isinstance(one.message, JSONRPCResponse | JSONRPCError):
                    self._pay(one.message.id)

    async def _lines(self) -> AsyncIterator[bytes]:
        while True:
            try:
                line = await self._coming.readline()
            except ValueError:
                await self._refuse(INVALID_REQUEST, f"a message has at most {LONGEST} bytes")
                continue
            except OSError:  # the other side has ended
                return
            if not line:
                return
            if line.strip():
                yield line

    async def _refuse(self, code: int, message: str) -> None:
        """Answer what has no id that could be told."""
        error = ErrorData(code=code, message=message)
        await self._say(JSONRPCError(jsonrpc="2.0", id=None, error=error))

    async def _say(self, message: JSONRPCMessage) -> None:
        text = message.model_dump_json(by_alias=True, exclude_unset=True)
        try:
            self._out.write(text.encode() + b"\n")
            await self._out.drain()
        except OSError:  # nobody reads any more
            self._pay(*self._owed)
            self.hang_up()

    def _owe(self, message: JSONRPCMessage) -> None:
        match message:
            case JSONRPCRequest():
                self._owed.add(message.id)
                self._paid.clear()
            case JSONRPCNotification(method="notifications/cancelled", params={"requestId": name}):
                if isinstance(name, str | int):
                    self._pay(name)  # it is not answered

    def _pay(self, *names: Any) -> None:
        self._owed.difference_update(names)
        if not self._owed:
            self._paid.set()
