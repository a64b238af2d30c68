"""Small requests that a function of ours answers in process, without an application around it.

The function is one more service with one endpoint, whose connections end here: routing, guards,
limits, framing and metrics are those of every request. Made for what comes so often that the way
through aiohttp, some 150 us and more, is most of its cost.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, cast
from urllib.parse import unquote_to_bytes

from uaitools.errors import ServiceError, error_body
from uaitools.log import get_logger
from uaitools.proxy.http1.body import ChunkedBody
from uaitools.proxy.native import FacadeTransport
from uaitools.tasks import spawn

# What is read here was written by our own exchange, from a head that has been parsed strictly.
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_CHUNKED: Final = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_TYPE: Final = re.compile(rb"\r\ncontent-type: *([^;\r\n]*)", re.IGNORECASE)
_ID: Final = re.compile(rb"\r\nx-request-id: *([^\r\n]*)", re.IGNORECASE)
_REASONS: Final = {status.value: status.phrase.encode() for status in HTTPStatus}
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class DirectRequest:
    """path: without its query, unescaped. content_type: in lower case, without parameters."""

    path: str
    content_type: str
    body: bytes


Answer = Callable[[DirectRequest], bytes | Coroutine[Any, Any, bytes]]
"""Answers with JSON, at once or later; raises ServiceError."""


def connector(
    service: str, answer: Answer, status: int = 200
) -> Callable[[Callable[[], asyncio.Protocol]], Awaitable[None]]:
    """How a pool opens connections to `answer`.

    service: who speaks in errors. status: of good answers.
    """

    async def connect(factory: Callable[[], asyncio.Protocol]) -> None:
        loop = asyncio.get_running_loop()
        upstream, direct = factory(), Direct(service, answer, status)
        ours, theirs = FacadeTransport(loop, upstream), FacadeTransport(loop, direct)
        ours.peer, theirs.peer = theirs, ours
        direct.connection_made(theirs)
        upstream.connection_made(ours)

    return connect


class Direct(asyncio.Protocol):
    """The far end of one connection; one request at a time comes by it."""

    __slots__ = ("_answer", "_buffer", "_loop", "_service", "_status", "_task", "_transport")

    def __init__(self, service: str, answer: Answer, status: int) -> None:
        self._service = service
        self._answer = answer
        self._status = status
        self._buffer = b""
        self._task: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None

    def __repr__(self) -> str:
        return f"<Direct {self._service} held={len(self._buffer)}>"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end]
        body = self._body(head, self._buffer[end + 4 :])
        if body is not None:
            self._buffer = b""
            # In a turn of its own: an answer is read once the request is out.
            self._loop.call_soon(self._respond, head, body)

    def _body(self, head: bytes, rest: bytes) -> bytes | None:
        """The whole body; None as long as some of it is to come."""
        if _CHUNKED.search(head) is not None:
            chunks = ChunkedBody(400)
            payload = chunks.feed(rest)
            return payload if chunks.done else None
        length = _LENGTH.search(head)
        return rest if length is None or len(rest) >= int(length[1]) else None

    def _respond(self, head: bytes, body: bytes) -> None:
        target = head.split(b" ", 2)[1].partition(b"?")[0]
        kind = _TYPE.search(head)
        request = DirectRequest(
            unquote_to_bytes(target).decode("utf-8", "replace"),
            kind[1].strip().lower().decode("latin-1") if kind is not None else "",
            body,
        )
        try:
            answer = self._answer(request)
        except Exception as error:
            self._fail(error, head)
            return
        if isinstance(answer, bytes):
            self._write(self._status, answer)
        else:
            self._task = spawn(self._wait(answer, head), name=f"answer of {self._service}")

    async def _wait(self, answer: Coroutine[Any, Any, bytes], head: bytes) -> None:
        try:
            text = await answer
        except Exception as error:
            self._fail(error, head)
        else:
            self._write(self._status, text)
        finally:
            self._task = None

    def _fail(self, error: Exception, head: bytes) -> None:
        found = _ID.search(head)
        request_id = found[1].decode("latin-1") if found is not None else ""
        if not isinstance(error, ServiceError):
            _log.error("request failed", request_id=request_id, exc_info=error)
            message = "internal error; the log has it under the request_id"
            error = ServiceError(500, message, self._service)
        self._write(error.code, error_body(error, request_id), error.retry_seconds)

    def _write(self, status: int, text: bytes, retry_after: int | None = None) -> None:
        later = b"" if retry_after is None else b"Retry-After: %d\r\n" % retry_after
        if self._transport is not None:
            self._transport.write(
                b"HTTP/1.1 %d %b\r\nContent-Type: application/json\r\n"
                b"Cache-Control: no-store\r\n%bContent-Length: %d\r\n\r\n%b"
                % (status, _REASONS.get(status, b""), later, len(text), text)
            )
