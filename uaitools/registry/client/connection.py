"""One WebSocket to one registry, from its handshake to its end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import aiohttp
from aiohttp import WSMsgType

from uaitools.registry.client.fields import Garbled
from uaitools.registry.client.messages import Message, hello, read
from uaitools.registry.client.outbox import Outbox
from uaitools.registry.client.registries import NoToken, Registries
from uaitools.registry.client.timing import Timing
from uaitools.tasks import spawn

LARGEST: Final = 64 * 1024 * 1024  # bytes of a message: a list of 10,000 with 6 KB of meta each
_CLOSE: Final = 1.0  # seconds that a registry has to answer our goodbye
_REFUSED: Final = (401, 403)


class Ended(Exception):
    """There is no connection (any more). The text says why; refused: our credential is bad."""

    def __init__(self, reason: str, *, refused: bool = False) -> None:
        super().__init__(reason)
        self.refused = refused


class Connection:
    """What is received goes to `receive`, what is in the outbox is sent when `wake` is called.

    beat: called every `timing.repeat` seconds, for what has to be said again and again.
    """

    __slots__ = ("_awake", "_beat", "_outbox", "_receive", "_socket", "_spoken", "_timing")

    def __init__(
        self,
        socket: aiohttp.ClientWebSocketResponse,
        outbox: Outbox,
        timing: Timing,
        receive: Callable[[Message], None],
        beat: Callable[[], None],
    ) -> None:
        self._socket = socket
        self._outbox = outbox
        self._timing = timing
        self._receive = receive
        self._beat = beat
        self._awake = asyncio.Event()
        self._spoken = asyncio.Event()  # all of the outbox has been sent

    def __repr__(self) -> str:
        state = "closed" if self._socket.closed else "open"
        return f"<Connection {state} {self._outbox!r}>"

    def wake(self) -> None:
        """There is something in the outbox."""
        self._spoken.clear()
        self._awake.set()

    async def flush(self) -> None:
        """Wait until what is in the outbox has been sent; for ever, if the connection ends."""
        await self._spoken.wait()

    async def run(self, watcher: str) -> None:
        """Talk until it ends. Raises Ended."""
        writing = spawn(self._write(watcher), name="write to the registry")
        try:
            await self._read()
        finally:
            writing.cancel()
            await asyncio.wait({writing})

    async def _read(self) -> None:
        while True:
            message = await self._socket.receive()
            if message.type is not WSMsgType.TEXT:
                raise Ended(_why(self._socket, message))
            try:
                found = read(message.data)
            except Garbled as error:
                raise Ended(f"what it sends cannot be understood: {error}") from error
            if found is not None:
                self._receive(found)

    async def _write(self, watcher: str) -> None:
        try:
            await self._socket.send_str(hello(watcher))
            due = self._next_beat()
            while True:
                self._awake.clear()
                for text in self._outbox.take():
                    await self._socket.send_str(text)
                if not self._awake.is_set():
                    self._spoken.set()
                try:
                    async with asyncio.timeout_at(due):
                        await self._awake.wait()
                except TimeoutError:
                    due = self._next_beat()
                    self._beat()
        except (aiohttp.ClientError, OSError):
            pass  # whoever reads hears of it as well

    def _next_beat(self) -> float:
        """Jitter keeps those apart who have lost the same registry at the same moment."""
        return asyncio.get_running_loop().time() + self._timing.repeat * random.uniform(0.8, 1.0)  # noqa: S311


def _why(socket: aiohttp.ClientWebSocketResponse, message: aiohttp.WSMessage) -> str:
    """Why there is no text any more."""
    match message.type:
        case WSMsgType.BINARY:
            return "what it sends cannot be understood: it is no text"
        case WSMsgType.ERROR:
            error = socket.exception() or message.data
            return str(error) or type(error).__name__
        case _:
            error = socket.exception()
            if error is not None:
                return str(error) or type(error).__name__
            return f"it was closed with code {socket.close_code}"


@asynccontextmanager
async def connect(
    session: aiohttp.ClientSession, registries: Registries, timing: Timing
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A WebSocket to the registry whose turn it is, closed when the block ends. Raises Ended."""
    try:
        async with asyncio.timeout(timing.connect):
            socket = await session.ws_connect(
                f"{registries.url}/v1/watch",
                headers=registries.headers(),
                heartbeat=timing.heartbeat,
                max_msg_size=LARGEST,
                timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE),
            )
    except aiohttp.WSServerHandshakeError as error:
        refused = error.status in _REFUSED
        what = "it refuses our credential" if refused else "it does not answer as a registry"
        raise Ended(f"{what}: status {error.status}", refused=refused) from error
    except TimeoutError as error:
        raise Ended("it does not answer in time") from error
    except (aiohttp.ClientError, OSError, ValueError, NoToken) as error:
        raise Ended(str(error) or type(error).__name__) from error
    try:
        yield socket
    finally:
        await socket.close()
