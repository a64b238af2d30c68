"""A request head -> RequestHead: every rule about what a request may look like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from uaitools.proxy.http1 import fields as f
from uaitools.proxy.http1.fields import FORWARDED, Field, parse_request_field, request_lines
from uaitools.proxy.http1.grammar import (
    CONTENT_LENGTH,
    FIELD_COUNT_LIMIT,
    HEAD_LIMIT,
    REQUEST_LINE_LIMIT,
    TOKEN,
    VERSION,
    MessageError,
)
from uaitools.proxy.http1.target import parse_target

CHUNKED: Final = -1  # value of `RequestHead.body` when the length is not known beforehand
_MINOR: Final = {b"HTTP/1.1": 1, b"HTTP/1.0": 0}
_COMMON_METHODS: Final = frozenset(
    (b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS")
)
_NONE: Final[frozenset[bytes]] = frozenset()
_IDEMPOTENT: Final = frozenset((b"GET", b"HEAD", b"OPTIONS"))
# Tokens of Connection that name no header to strip (RFC 9110 7.6.1).
_OPTIONS: Final = frozenset((b"close", b"keep-alive", b"upgrade", b"te"))


@dataclass(slots=True)
class RequestHead:
    """A request head that is valid and can be understood in one way only; never changed.

    path: normalised; query: as sent, with its '?'. minor: of HTTP/1.minor. block: all header
    lines. lines: those to forward as they are, in wire form. trust: those that are believed from some
    peers only, and the trace context. Neither holds what Connection names. body: bytes of
    Content-Length, 0 for none, CHUNKED. replayable: RFC 9110 9.2.2 methods and requests with an
    Idempotency-Key may be sent again. trailers: names announced by Trailer.
    """

    method: bytes
    path: bytes
    query: bytes
    minor: int
    host: bytes
    block: bytes
    lines: bytes
    trust: tuple[Field, ...]
    body: int
    keep_alive: bool
    websocket: bool
    expects_continue: bool
    accepts_trailers: bool
    replayable: bool
    trailers: frozenset[bytes]


def check_partial_head(data: bytes) -> None:
    """Raise 414 or 431 when the unfinished head in `data` is already too long."""
    if len(data) > REQUEST_LINE_LIMIT and data.find(b"\r\n", 0, REQUEST_LINE_LIMIT + 2) < 0:
        raise MessageError(414, f"the request line is over {REQUEST_LINE_LIMIT} bytes")
    if len(data) > HEAD_LIMIT:
        raise MessageError(431, f"the request head is over {HEAD_LIMIT} bytes")


def parse_request(head: bytes) -> RequestHead:
    """Parse a head, given without its final empty line. Raises MessageError with the status."""
    if len(head) > REQUEST_LINE_LIMIT:
        check_partial_head(head)
    line, _, block = head.partition(b"\r\n")
    method, target, minor = _request_line(line)
    path, query, authority = parse_target(target, method)
    raw_lines = block.split(b"\r\n") if block else []
    if len(raw_lines) > FIELD_COUNT_LIMIT:
        raise MessageError(431, f"more than {FIELD_COUNT_LIMIT} header fields")
    special = _Special(raw_lines, method)
    options = special.options
    body = _framing(special.length, special.transfer, minor)
    plain = special.plain
    plain.append(b"")
    return RequestHead(
        method,
        path,
        query,
        minor,
        _host(special.host, authority, minor),
        block,
        b"\r\n".join(plain),
        tuple(special.trust),
        body,
        _keep_alive(options, minor),
        # RFC 6455 4.1: GET, HTTP/1.1, no body; every other upgrade is ignored, never tunnelled.
        special.upgrade == (b"websocket",)
        and b"upgrade" in options
        and method == b"GET"
        and minor == 1
        and body == 0,
        special.expects and minor == 1 and body != 0,
        special.te,
        special.replayable,
        special.trailers,
    )


class _Special:
    """One walk over the fields: what the proxy has to act on, apart from what it only forwards."""

    __slots__ = (
        "expects",
        "host",
        "length",
        "options",
        "plain",
        "replayable",
        "te",
        "trailers",
        "transfer",
        "trust",
        "upgrade",
    )

    def __init__(self, raw_lines: list[bytes], method: bytes) -> None:
        self.host: bytes | None = None
        self.length: bytes | None = None
        self.transfer: bytes | None = None
        self.upgrade: tuple[bytes, ...] = ()
        self.options: tuple[bytes, ...] = ()
        self.trust: list[Field] = []
        self.trailers: frozenset[bytes] = _NONE
        self.te = self.expects = False
        self.replayable = method in _IDEMPOTENT
        plain: list[bytes] = []
        self.plain = plain
        known = request_lines.young.get
        for raw in raw_lines:
            field = known(raw) or parse_request_field(raw)
            if field is FORWARDED:
                plain.append(raw)
            elif field.kind == f.HOST:
                self.host = _once(self.host, field)
            else:
                self._add(field, raw)
        if self.options:
            self._strip()

    def _add(self, field: Field, raw: bytes) -> None:
        kind = field.kind
        if kind >= f.FORGEABLE:
            self.trust.append(field)
        elif kind == f.LENGTH:
            self.length = _once(self.length, field)
        elif kind == f.TRANSFER:
            self.transfer = _once(self.transfer, field)
        elif kind == f.CONNECTION:
            self.options += field.members
        elif kind == f.UPGRADE:
            self.upgrade += field.members
        elif kind == f.EXPECT:
            self.expects = _expectation(field.value)
        elif kind == f.TE:
            self.te = self.te or b"trailers" in field.members
        elif kind == f.TRAILER:
            self.trailers |= frozenset(field.members)
        elif kind == f.IDEMPOTENCY:
            self.replayable = True
            self.plain.append(raw)

    def _strip(self) -> None:
        """RFC 9110 7.6.1: drop every field that Connection names (CVE-2024-45410)."""
        names = frozenset(self.options) - _OPTIONS
        if names:
            self.plain = [raw for raw in self.plain if raw.partition(b":")[0].lower() not in names]
            self.trust = [field for field in self.trust if field.name not in names]


def _request_line(line: bytes) -> tuple[bytes, bytes, int]:
    parts = line.split(b" ")
    if len(parts) != 3:
        raise _bad_request_line(parts)
    method, target, version = parts
    minor = _MINOR.get(version)
    if minor is None:
        if VERSION.fullmatch(version) is not None:
            raise MessageError(505, "only HTTP/1.0 and HTTP/1.1 are spoken here")
        raise _bad_request_line(parts)
    if method not in _COMMON_METHODS:
        if TOKEN.fullmatch(method) is None:
            raise _bad_request_line(parts)
        if method in (b"CONNECT", b"TRACE"):
            raise MessageError(405, f"{method.decode()} is not available through this gateway")
    return method, target, minor


def _bad_request_line(parts: list[bytes]) -> MessageError:
    # RFC 1945: `GET /path` alone was HTTP/0.9.
    if len(parts) == 2 and TOKEN.fullmatch(parts[0]) and parts[1].startswith(b"/"):
        return MessageError(505, "HTTP/0.9 is not spoken here")
    return MessageError(400, "malformed request line: send 'METHOD /path HTTP/1.1'")


def _once(seen: bytes | None, field: Field) -> bytes:
    if seen is not None:
        raise MessageError(400, f"{field.name.decode()} may stand in a request only once")
    return field.value


def _expectation(value: bytes) -> bool:
    if value.lower() != b"100-continue":
        raise MessageError(417, "the only expectation understood is 100-continue")
    return True


def _framing(length: bytes | None, transfer: bytes | None, minor: int) -> int:
    """RFC 9112 6.1-6.3, without its leniencies: what could be read in two ways is refused."""
    if transfer is not None:
        if length is not None:
            raise MessageError(400, "send either Content-Length or Transfer-Encoding, not both")
        if minor == 0:
            raise MessageError(400, "Transfer-Encoding needs HTTP/1.1")
        if transfer.lower() != b"chunked":
            raise MessageError(400, "the only Transfer-Encoding accepted is chunked")
        return CHUNKED
    if length is None:
        return 0
    if CONTENT_LENGTH.fullmatch(length) is None:
        raise MessageError(400, "Content-Length must be one decimal number")
    return int(length)


def _host(host: bytes | None, authority: bytes | None, minor: int) -> bytes:
    if host is None:
        if minor == 1:
            raise MessageError(400, "HTTP/1.1 requests need a Host header")
        return authority or b""
    if authority is not None and authority.lower() != host.lower():
        raise MessageError(400, "the authority of the request target differs from Host")
    return host


def _keep_alive(options: tuple[bytes, ...], minor: int) -> bool:
    if b"close" in options:
        return False
    return minor == 1 or b"keep-alive" in options
