"""Messages over pipes, without the program around them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import orjson
from anyio.streams.memory import MemoryObjectReceiveStream
from mcp.shared.message import SessionMessage

from tests.memory.mcp.assistants import message
from uaitools.memory.mcp.pipes import Pipes
from uaitools.tasks import spawn

Received = MemoryObjectReceiveStream[SessionMessage | Exception]


@dataclass
class Assistant:
    """The other side. received: what has come of what it wrote."""

    pipes: Pipes
    received: Received
    reading: asyncio.Task[None]
    into: int

    def write(self, *messages: Any) -> None:
        os.write(self.into, b"".join(orjson.dumps(one) + b"\n" for one in messages))

    def close(self) -> None:
        os.close(self.into)
        self.into = -1


@asynccontextmanager
async def assistant() -> AsyncIterator[Assistant]:
    (incoming, into), (answers, outgoing) = os.pipe(), os.pipe()
    pipes = Pipes(incoming, outgoing)
    await pipes.open()
    read, received = anyio.create_memory_object_stream[SessionMessage | Exception](16)
    other = Assistant(pipes, received, spawn(pipes.read(read), name="read"), into)
    try:
        yield other
    finally:
        other.reading.cancel()
        await asyncio.wait({other.reading})
        received.close()
        pipes.close()
        for descriptor in (other.into, answers):
            if descriptor >= 0:
                os.close(descriptor)


async def test_a_request_that_is_taken_back_holds_up_no_end() -> None:
    back = {"method": "notifications/cancelled", "params": {"requestId": 1}}
    async with assistant() as other:
        other.write(message("ping"), {"jsonrpc": "2.0", **back})
        other.close()
        async with asyncio.timeout(5):  # half of what an answer is waited for
            await other.reading
        assert [type(one) async for one in other.received] == [SessionMessage] * 2


async def test_a_request_without_an_answer_holds_up_the_end() -> None:
    wrong: tuple[dict[str, Any], ...] = (
        {"params": {"requestId": 2}},
        {"params": {"requestId": [1]}},
        {"params": {}},
        {},
    )
    async with assistant() as other:
        other.write(message("ping"))
        for one in wrong:
            other.write({"jsonrpc": "2.0", "method": "notifications/cancelled", **one})
        other.close()
        for _ in range(5):
            await other.received.receive()
        assert repr(other.pipes) == "<Pipes owed=1>"
        assert not other.reading.done()
