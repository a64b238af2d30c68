"""Small requests that a function of ours answers in process, without an application around it.

The function is one more service with one endpoint, whose connections end here: routing, guards,
limits, framing and metrics are those of every request. Made for what comes so often that the way
through aiohttp, some 150 us and more, is most of its cost.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
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
    """path: without its query, unescaped. content_type: in lower case, without parameters.

    query: as it came, without the question mark. head: of the request, as the gateway wrote it.
    """

    path: str
    content_type: str
    body: bytes
    query: str = ""
    head: bytes = field(default=b"", repr=False)

    def header(self, name: bytes) -> bytes:
        """The value of a header, b"" if there is none. name: in lower case.

        Of one that comes several times, all values joined by commas (RFC 9110 5.3).
        """
        head, mark = self.head.lower(), b"\r\n" + name + b":"
        values = []
        start = head.find(mark)
        while start >= 0:
            start += len(mark)
            end = head.find(b"\r\n", start)
            end = len(head) if end < 0 else end
            values.append(self.head[start:end].strip())
            start = head.find(mark, end)
        return b", ".join(values)


@dataclass(frozen=True, slots=True)
class DirectAnswer:
    """An answer that says more than JSON. headers: whole lines, Cache-Control among them."""

    status: int
    body: bytes
    headers: bytes = b""


Said = bytes | DirectAnswer
Answer = Callable[[DirectRequest], Said | Coroutine[Any, Any, Said]]
"""Answers with JSON, at once or later; raises ServiceError."""

_UNSTORED: Final = b"Cache-Control: no-store\r\n"


def connector(
    service: str, answer: Answer, status: int = 200, *, message_as: str = ""
) -> Callable[[Callable[[], asyncio.Protocol]], Awaitable[None]]:
    """How a pool opens connections to `answer`.

    service: who speaks in errors. status: of good answers. message_as: see errors.error_body.
    """

    async def connect(factory: Callable[[], asyncio.Protocol]) -> None:
        loop = asyncio.get_running_loop()
        upstream, direct = factory(), Direct(service, answer, status, message_as)
        ours, theirs = FacadeTransport(loop, upstream), FacadeTransport(loop, direct)
        ours.peer, theirs.peer = theirs, ours
        direct.connection_made(theirs)
        upstream.connection_made(ours)

    return connect


class Direct(asyncio.Protocol):
    """The far end of one connection; one request at a time comes by it."""

    __slots__ = (
        "_answer",
        "_bodiless",
        "_buffer",
        "_loop",
        "_message_as",
        "_service",
        "_status",
        "_task",
        "_transport",
    )

    def __init__(self, service: str, answer: Answer, status: int, message_as: str = "") -> None:
        self._service = service
        self._answer = answer
        self._status = status
        self._message_as = message_as
        self._bodiless = False
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
        method, whole, _ = head.split(b" ", 2)
        self._bodiless = method == b"HEAD"
        target, _, query = whole.partition(b"?")
        kind = _TYPE.search(head)
        request = DirectRequest(
            unquote_to_bytes(target).decode("utf-8", "replace"),
            kind[1].strip().lower().decode("latin-1") if kind is not None else "",
            body,
            query.decode("latin-1"),
            head,
        )
        try:
            answer = self._answer(request)
        except Exception as error:
            self._fail(error, head)
            return
        if isinstance(answer, (bytes, DirectAnswer)):
            self._say(answer)
        else:
            self._task = spawn(self._wait(answer, head), name=f"answer of {self._service}")

    async def _wait(self, answer: Coroutine[Any, Any, Said], head: bytes) -> None:
        try:
            said = await answer
        except Exception as error:
            self._fail(error, head)
        else:
            self._say(said)
        finally:
            self._task = None

    def _say(self, said: Said) -> None:
        if isinstance(said, bytes):
            self._write(self._status, said, _UNSTORED)
        else:
            self._write(said.status, said.body, said.headers)

    def _fail(self, error: Exception, head: bytes) -> None:
        found = _ID.search(head)
        request_id = found[1].decode("latin-1") if found is not None else ""
        if not isinstance(error, ServiceError):
            _log.error("request failed", request_id=request_id, exc_info=error)
            message = "internal error; the log has it under the request_id"
            error = ServiceError(500, message, self._service)
        later = error.retry_seconds
        headers = _UNSTORED if later is None else b"%bRetry-After: %d\r\n" % (_UNSTORED, later)
        body = error_body(error, request_id, message_as=self._message_as)
        self._write(error.code, body, headers)

    def _write(self, status: int, text: bytes, headers: bytes) -> None:
        if self._transport is None:
            return
        reason = _REASONS.get(status, b"")
        if status == HTTPStatus.NOT_MODIFIED:  # it has no content (RFC 9110 15.4.5)
            self._transport.write(b"HTTP/1.1 304 %b\r\n%b\r\n" % (reason, headers))
            return
        self._transport.write(
            b"HTTP/1.1 %d %b\r\nContent-Type: application/json\r\n%bContent-Length: %d\r\n\r\n%b"
            % (status, reason, headers, len(text), b"" if self._bodiless else text)
        )
