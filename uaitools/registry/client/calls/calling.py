"""What a client's methods return: `await` it, or enter it, as with aiohttp."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientWebSocketResponse


class Calling:
    """A call that begins when it is awaited or entered; leaving the block lets go of its answer."""

    __slots__ = ("_call", "_response")

    def __init__(self, call: Coroutine[Any, Any, ClientResponse]) -> None:
        self._call = call
        self._response: ClientResponse | None = None

    def __repr__(self) -> str:
        return f"<Calling {self._response!r}>"

    def __await__(self) -> Generator[Any, None, ClientResponse]:
        return self._call.__await__()

    async def __aenter__(self) -> ClientResponse:
        self._response = await self._call
        return await self._response.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._response is not None
        await self._response.__aexit__(kind, error, traceback)


Opened = tuple["ClientWebSocketResponse", Callable[[], None]]


class Opening:
    """A WebSocket that is opened when the block is entered, and closed when it is left."""

    __slots__ = ("_end", "_open", "_socket")

    def __init__(self, opened: Callable[[], Awaitable[Opened]]) -> None:
        self._open = opened
        self._socket: ClientWebSocketResponse | None = None
        self._end: Callable[[], None] | None = None

    def __repr__(self) -> str:
        return f"<Opening {self._socket!r}>"

    async def __aenter__(self) -> ClientWebSocketResponse:
        self._socket, self._end = await self._open()
        return self._socket

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._socket is not None
        assert self._end is not None
        try:
            await self._socket.close()
        finally:
            self._end()
