"""The library's HTTP transport, and an aiohttp request as the ASGI application that it is sees it.

There are no sessions: each request is answered by itself, in one JSON document. Whose it is says
the credential that it brings, so that there is nothing to keep, to take over or to end; the tools
need none, and the protocol has none from 2026-07-28 on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, Final

from aiohttp import hdrs, web
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from multidict import CIMultiDict

from uaitools.memory.errors import SERVICE
from uaitools.memory.mcp.server import Context, mcp_server
from uaitools.rest import Answer
from uaitools.tasks import spawn
from uaitools.unpacking import unpacked

if TYPE_CHECKING:
    from uaitools.memory.service import MemoryService

Message = MutableMapping[str, Any]
Application = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]],
    Awaitable[None],
]
_USER: Final = "uaitools.memory.user"  # in the scope
_UNBOUNDED: Final = 1 << 62  # bytes of a body: aiohttp has counted them


class Endpoint:
    """Answers requests from `start` to `stop`."""

    def __init__(self, service: MemoryService) -> None:
        # It tells of each request at `info`; the gateway's access log does so, where it is wanted.
        logging.getLogger("mcp.server").setLevel(logging.WARNING)
        self._manager = StreamableHTTPSessionManager(
            mcp_server(service, _whose),
            stateless=True,
            json_response=True,
            max_request_body_size=_UNBOUNDED,
        )
        self._begun, self._ending = asyncio.Event(), asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Endpoint running={self._begun.is_set()}>"

    def start(self) -> None:
        """Begin."""
        self._running = spawn(self._run(), name="mcp endpoint")

    async def stop(self) -> None:
        """End what is still being answered."""
        self._ending.set()
        if self._running is not None:
            await self._running

    async def answer(self, request: web.Request, user: str) -> web.Response:
        """What the library answers, for a user."""
        await self._begun.wait()
        return await _answered(self._manager.handle_request, request, {_USER: user})

    async def _run(self) -> None:
        # A task of its own: it has to be left in the task that has entered it.
        async with self._manager.run():
            self._begun.set()
            await self._ending.wait()


def _whose(context: Context) -> str:
    assert context.request is not None
    user: str = context.request.scope[_USER]
    return user


async def _answered(app: Application, request: web.Request, extra: Message) -> web.Response:
    """The answer of an ASGI application, which is whole.

    Raises web.HTTPRequestEntityTooLarge, and ServiceError for a body that cannot be read.

    extra: added to the scope. A client that goes away is told by cancelling the handler.
    """
    sent = await unpacked(request, SERVICE)
    coming = [{"type": "http.request", "body": sent, "more_body": False}]
    head: Message = {}
    body = bytearray()

    async def receive() -> Message:
        if coming:
            return coming.pop()
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            head.update(message)
        else:
            body.extend(message.get("body", b""))

    await app({**_scope(request), **extra}, receive, send)
    headers = CIMultiDict(
        (key.decode("latin-1"), one.decode("latin-1")) for key, one in head["headers"]
    )
    headers.popall(hdrs.CONTENT_LENGTH, None)  # aiohttp's
    headers[hdrs.CACHE_CONTROL] = "no-store"
    return Answer(status=head["status"], headers=headers, body=bytes(body))


def _scope(request: web.Request) -> Message:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": request.scheme,
        "path": request.path,
        "query_string": request.query_string.encode(),
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in request.raw_headers],
        "client": None,
        "server": None,
    }
