"""A response head -> ResponseHead, as strictly as a request: a bad one is a 502, never relayed."""

from __future__ import annotations

import re
from typing import Final

from uaitools.proxy.http1 import fields as f
from uaitools.proxy.http1.fields import Field, parse_response_field
from uaitools.proxy.http1.grammar import (
    CONTENT_LENGTH,
    FIELD_COUNT_LIMIT,
    HEAD_LIMIT,
    STATUS_LINE,
    MessageError,
)

CHUNKED: Final = -1
UNTIL_CLOSE: Final = -2
IDLE_SECONDS: Final = 4.0  # most servers close idle connections after 5 s or more
_IDLE_MAX: Final = 60.0
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
        "fields",
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
        fields: tuple[Field, ...] = (),
        keep_alive: bool = True,
        idle: float = IDLE_SECONDS,
        websocket: bool = False,
        trailers: frozenset[bytes] = frozenset(),
    ) -> None:
        self.status = status
        self.start = start
        self.length = length
        self.body = body
        self.fields = fields
        self.keep_alive = keep_alive
        self.idle = idle
        self.websocket = websocket
        self.trailers = trailers

    def __repr__(self) -> str:
        return f"<ResponseHead {self.status} body={self.body}>"


def check_partial_response(data: bytes) -> None:
    """Raise 502 when the unfinished head in `data` is already too long."""
    if len(data) > HEAD_LIMIT:
        raise MessageError(502, f"the upstream's response head is over {HEAD_LIMIT} bytes")


def parse_response(head: bytes) -> ResponseHead:
    """Parse a head, given without its final empty line. Raises MessageError 502."""
    check_partial_response(head)
    line, _, block = head.partition(b"\r\n")
    match = STATUS_LINE.fullmatch(line)
    if match is None:
        raise MessageError(502, "the upstream sent a malformed status line")
    major, minor_digit, code, reason = match.groups()
    if major != b"1" or minor_digit not in b"01":
        raise MessageError(502, "the upstream speaks an HTTP version other than 1.0 and 1.1")
    minor = 1 if minor_digit == b"1" else 0
    status = int(code)
    parsed = [parse_response_field(raw) for raw in block.split(b"\r\n")] if block else []
    if len(parsed) > FIELD_COUNT_LIMIT:
        raise MessageError(502, f"the upstream sent more than {FIELD_COUNT_LIMIT} header fields")

    length: bytes | None = None
    transfer: bytes | None = None
    upgrade: tuple[bytes, ...] = ()
    idle = IDLE_SECONDS
    options: tuple[bytes, ...] = ()
    trailers: frozenset[bytes] = frozenset()
    forwarded: list[Field] = []
    for field in parsed:
        kind = field.kind
        if kind == f.PLAIN:
            forwarded.append(field)
        elif kind == f.LENGTH:
            length = _once(length, field)
        elif kind == f.TRANSFER:
            transfer = _once(transfer, field)
        elif kind == f.CONNECTION:
            options += field.members
        elif kind == f.UPGRADE:
            upgrade += field.members
        elif kind == f.TRAILER:
            trailers |= frozenset(field.members)
        elif kind == f.KEEP_ALIVE:
            timeout = _TIMEOUT.fullmatch(field.value)
            if timeout:
                # A second before the upstream's own limit, so that we close first.
                idle = min(max(float(timeout[1]) - 1.0, 0.5), _IDLE_MAX)

    strip = frozenset(options) - _OPTIONS
    if strip:
        forwarded = [field for field in forwarded if field.name not in strip]
    body = _framing(status, length, transfer, minor)
    return ResponseHead(
        status,
        b"HTTP/1.1 %d %b\r\n%b"
        % (status, reason or b"", b"".join([field.line for field in forwarded])),
        b"Content-Length: %d\r\n" % int(length)
        if length is not None and transfer is None and status >= 200 and status != 204
        else b"",
        body,
        fields=tuple(parsed),
        keep_alive=b"close" not in options and (minor == 1 or b"keep-alive" in options),
        idle=idle,
        websocket=upgrade == (b"websocket",) and b"upgrade" in options,
        trailers=trailers,
    )


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
