"""A response head -> ResponseHead, as strictly as a request: a bad one is a 502, never relayed."""

from __future__ import annotations

import re
from typing import Final

from uaitools.proxy.http1 import fields as f
from uaitools.proxy.http1.body import CHUNKED, UNTIL_CLOSE
from uaitools.proxy.http1.fields import NO_MEMBERS, Field, parse_response_field
from uaitools.proxy.http1.grammar import (
    BARE_LF,
    CONTENT_LENGTH,
    FIELD_COUNT_LIMIT,
    HEAD_LIMIT,
    STATUS_LINE,
    MessageError,
)

IDLE_SECONDS: Final = 4.0  # most servers close idle connections after 5 s or more
_IDLE_MAX: Final = 60.0
_BEGINNING: Final = b"HTTP/"
_OPTIONS: Final = frozenset((b"close", b"keep-alive", b"upgrade"))
_TIMEOUT: Final = re.compile(rb"(?:.*[,; ])?timeout=([0-9]{1,6})(?:[,; ].*)?", re.IGNORECASE)


class ResponseHead:
    """A valid response head; shared by equal ones, so it is never changed.

    body: bytes of Content-Length, 0 for none, CHUNKED or UNTIL_CLOSE; a HEAD request has none
    whatever stands here. start: status line and the fields to forward, in wire form without
    framing and Connection. length: the Content-Length line to re-emit, or empty. keep_alive: the
    upstream connection may serve another request. idle: seconds that it may wait for one, learned
    from `Keep-Alive: timeout=`.
    """

    __slots__ = (
        "body",
        "idle",
        "keep_alive",
        "length",
        "start",
        "status",
        "trailers",
        "websocket",
    )

    def __init__(
        self,
        status: int,
        start: bytes,
        length: bytes,
        body: int,
        *,
        keep_alive: bool = True,
        idle: float = IDLE_SECONDS,
        websocket: bool = False,
        trailers: frozenset[bytes] = frozenset(),
    ) -> None:
        self.status = status
        self.start = start
        self.length = length
        self.body = body
        self.keep_alive = keep_alive
        self.idle = idle
        self.websocket = websocket
        self.trailers = trailers

    def __repr__(self) -> str:
        return f"<ResponseHead {self.status} body={self.body}>"

    def with_lines(self, lines: bytes) -> ResponseHead:
        """The same head with other fields to forward, each ended by CR LF."""
        line, end, _ = self.start.partition(b"\r\n")
        return ResponseHead(
            self.status,
            line + end + lines,
            self.length,
            self.body,
            keep_alive=self.keep_alive,
            idle=self.idle,
            websocket=self.websocket,
            trailers=self.trailers,
        )


def check_partial_response(data: bytes) -> None:
    """Raise 502 for an unfinished head that can become none, or is too long."""
    # Up to three bytes of the CR LF CR LF that ends it may have come.
    _check_length(data, HEAD_LIMIT + 3)
    if BARE_LF.search(data) is not None or not data.startswith(_BEGINNING[: len(data)]):
        raise MessageError(502, "the upstream sent what is no HTTP/1.1 response")


def parse_response(head: bytes) -> ResponseHead:
    """Parse a head, given without its final empty line. Raises MessageError 502."""
    _check_length(head, HEAD_LIMIT)
    line, _, block = head.partition(b"\r\n")
    status, minor, reason = _status_line(line)
    fields = [parse_response_field(raw) for raw in block.split(b"\r\n")] if block else []
    if len(fields) > FIELD_COUNT_LIMIT:
        raise MessageError(502, f"the upstream sent more than {FIELD_COUNT_LIMIT} header fields")
    walk = _Walk(fields)
    body = _framing(status, walk.length, walk.transfer, minor)
    sized = walk.length is not None and status >= 200 and status != 204
    return ResponseHead(
        status,
        b"\r\n".join([b"HTTP/1.1 %d %b" % (status, reason), *walk.lines(), b""]),
        b"Content-Length: %d\r\n" % int(walk.length or b"0") if sized else b"",
        body,
        keep_alive=b"close" not in walk.options and (minor == 1 or b"keep-alive" in walk.options),
        idle=walk.idle,
        websocket=walk.upgrade == (b"websocket",) and b"upgrade" in walk.options,
        trailers=walk.trailers,
    )


def _check_length(head: bytes, limit: int) -> None:
    if len(head) > limit:
        raise MessageError(502, f"the upstream's response head is over {HEAD_LIMIT} bytes")


def _status_line(line: bytes) -> tuple[int, int, bytes]:
    match = STATUS_LINE.fullmatch(line)
    if match is None:
        raise MessageError(502, "the upstream sent a malformed status line")
    major, minor, code, reason = match.groups(b"")
    if major != b"1" or minor not in (b"0", b"1"):
        raise MessageError(502, "the upstream speaks an HTTP version other than 1.0 and 1.1")
    return int(code), 1 if minor == b"1" else 0, reason


class _Walk:
    """One walk over the fields: what the proxy has to act on, and what it only forwards."""

    __slots__ = ("_named", "_plain", "idle", "length", "options", "trailers", "transfer", "upgrade")

    def __init__(self, fields: list[Field]) -> None:
        self.length: bytes | None = None
        self.transfer: bytes | None = None
        self.upgrade = NO_MEMBERS
        self.options = NO_MEMBERS
        self.trailers: frozenset[bytes] = frozenset()
        self.idle = IDLE_SECONDS
        self._plain: list[Field] = []
        for field in fields:
            if field.kind == f.PLAIN:
                self._plain.append(field)
            else:
                self._note(field)
        # RFC 9110 7.6.1: what Connection names is for us, be it a header or a trailer field.
        self._named: frozenset[bytes] = frozenset(self.options) - _OPTIONS
        self.trailers -= self._named

    def _note(self, field: Field) -> None:
        kind = field.kind
        if kind == f.LENGTH:
            self.length = _once(self.length, field)
        elif kind == f.TRANSFER:
            self.transfer = _once(self.transfer, field)
        elif kind == f.CONNECTION:
            self.options += field.members
        elif kind == f.UPGRADE:
            self.upgrade += field.members
        elif kind == f.TRAILER:
            self.trailers |= frozenset(field.members)
        elif kind == f.KEEP_ALIVE:
            timeout = _TIMEOUT.fullmatch(field.value)
            if timeout:
                # A second before the upstream's own limit, so that we close first.
                self.idle = min(max(float(timeout[1]) - 1.0, 0.5), _IDLE_MAX)

    def lines(self) -> list[bytes]:
        """The fields to forward, without those that Connection names."""
        return [field.line for field in self._plain if field.name not in self._named]


def _once(seen: bytes | None, field: Field) -> bytes:
    if seen is not None:
        raise MessageError(502, f"the upstream sent {field.name.decode()} more than once")
    return field.value


def _framing(status: int, length: bytes | None, transfer: bytes | None, minor: int) -> int:
    """RFC 9112 6.3: what the headers say is checked even where the status rules a body out."""
    if length is not None and CONTENT_LENGTH.fullmatch(length) is None:
        raise MessageError(502, "the upstream's Content-Length is not one decimal number")
    if transfer is not None:
        if length is not None:
            raise MessageError(502, "the upstream sent Content-Length with Transfer-Encoding")
        if transfer.lower() != b"chunked" or minor == 0:
            raise MessageError(502, "the upstream sent a Transfer-Encoding other than chunked")
    if status < 200 or status in (204, 304):
        return 0
    if transfer is not None:
        return CHUNKED
    return UNTIL_CLOSE if length is None else int(length)
