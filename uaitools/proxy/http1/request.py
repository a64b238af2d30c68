"""A request head -> RequestHead: every rule about what a request may look like."""

from __future__ import annotations

import re
from typing import Final

from uaitools.proxy.http1 import fields as f
from uaitools.proxy.http1.body import CHUNKED
from uaitools.proxy.http1.fields import (
    FORWARDED,
    NO_MEMBERS,
    Field,
    parse_request_field,
    request_lines,
)
from uaitools.proxy.http1.grammar import (
    BARE_LF,
    COMMON_METHODS,
    CONTENT_LENGTH,
    FIELD_COUNT_LIMIT,
    HEAD_LIMIT,
    REQUEST_LINE_LIMIT,
    TOKEN,
    VERSION,
    MessageError,
)
from uaitools.proxy.http1.target import parse_target

_MINOR: Final = {b"HTTP/1.1": 1, b"HTTP/1.0": 0}
# What may stand at the start of an unfinished head: an empty line, a method, a space.
_BEGINNING: Final = re.compile(rb"(?:\r\n)?(?:\r?$|[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?: |$))")
_ALLOW: Final = b", ".join(sorted(COMMON_METHODS))
_NONE: Final[frozenset[bytes]] = frozenset()
_IDEMPOTENT: Final = frozenset((b"GET", b"HEAD", b"OPTIONS"))
# Tokens of Connection that name no header to strip (RFC 9110 7.6.1).
_OPTIONS: Final = frozenset((b"close", b"keep-alive", b"upgrade", b"te"))


class RequestHead:
    """A request head that is valid and can be understood in one way only; never changed.

    path: normalised; query: as sent, with its '?'. minor: of HTTP/1.minor. lines:
    those to forward as they are, in wire form. trust: those that are believed from some peers
    only, and the trace context. Neither holds what Connection names. body: bytes of
    Content-Length, 0 for none, CHUNKED. replayable: RFC 9110 9.2.2 methods and requests with an
    Idempotency-Key may be sent again. trailers: names announced by Trailer.

    Made by `parse_request`. Written out, and one walk over the lines, because heads that differ
    from request to request are parsed each time.
    """

    __slots__ = (
        "_length",
        "_options",
        "_transfer",
        "_upgrade",
        "accepts_trailers",
        "body",
        "expects_continue",
        "host",
        "keep_alive",
        "lines",
        "method",
        "minor",
        "path",
        "query",
        "replayable",
        "trailers",
        "trust",
        "websocket",
    )

    def __init__(self, line: bytes, block: bytes) -> None:
        self.method, target, self.minor = _request_line(line)
        self.path, self.query, authority = parse_target(target, self.method)
        self.host: bytes | None = None
        self.replayable = self.method in _IDEMPOTENT
        self.expects_continue = self.accepts_trailers = False
        self.trailers = _NONE
        self.trust: list[Field] = []
        self._length: bytes | None = None
        self._transfer: bytes | None = None
        self._options = NO_MEMBERS
        self._upgrade = NO_MEMBERS
        plain = self._walk(block.split(b"\r\n") if block else [])
        if self._options:
            plain = self._strip(plain)
        plain.append(b"")
        self.lines = b"\r\n".join(plain)
        self._check_host(authority)
        self.body = self._framing()
        self.keep_alive = b"close" not in self._options and (
            self.minor == 1 or b"keep-alive" in self._options
        )
        self.expects_continue = self.expects_continue and self.minor == 1 and self.body != 0
        self.websocket = self._may_upgrade()

    def __repr__(self) -> str:
        return f"<RequestHead {self.method.decode()} {self.path.decode()} body={self.body}>"

    def _walk(self, lines: list[bytes]) -> list[bytes]:
        """Act on each field; returns the lines that are only forwarded."""
        if len(lines) > FIELD_COUNT_LIMIT:
            raise MessageError(431, f"more than {FIELD_COUNT_LIMIT} header fields")
        plain: list[bytes] = []
        known = request_lines.young.get
        for line in lines:
            field = known(line) or parse_request_field(line)
            if field is FORWARDED:
                plain.append(line)
            elif field.kind == f.HOST:
                self.host = _once(self.host, field)
            elif field.kind >= f.FORGEABLE:
                self.trust.append(field)
            elif field.kind == f.IDEMPOTENCY:
                self.replayable = True
                plain.append(line)
            else:
                self._note(field)
        return plain

    def _note(self, field: Field) -> None:
        """A field about this message or this connection."""
        kind = field.kind
        if kind == f.LENGTH:
            self._length = _once(self._length, field)
        elif kind == f.TRANSFER:
            self._transfer = _once(self._transfer, field)
        elif kind == f.CONNECTION:
            self._options += field.members
        elif kind == f.UPGRADE:
            self._upgrade += field.members
        elif kind == f.EXPECT:
            self.expects_continue = _expectation(field.value)
        elif kind == f.TE:
            self.accepts_trailers = self.accepts_trailers or b"trailers" in field.members
        elif kind == f.TRAILER:
            self.trailers |= frozenset(field.members)

    def _strip(self, plain: list[bytes]) -> list[bytes]:
        """RFC 9110 7.6.1: drop every field that Connection names (CVE-2024-45410)."""
        names = frozenset(self._options) - _OPTIONS
        if not names:
            return plain
        self.trailers -= names
        if b"idempotency-key" in names:
            self.replayable = self.method in _IDEMPOTENT
        self.trust = [field for field in self.trust if field.name not in names]
        return [line for line in plain if line.partition(b":")[0].lower() not in names]

    def _check_host(self, authority: bytes | None) -> None:
        if self.host is None:
            if self.minor == 1:
                raise MessageError(400, "HTTP/1.1 requests need a Host header")
            self.host = authority
        elif authority is not None and authority.lower() != self.host.lower():
            raise MessageError(400, "the authority of the request target differs from Host")

    def _framing(self) -> int:
        """RFC 9112 6.1-6.3, without its leniencies: what could be read in two ways is refused."""
        length, transfer = self._length, self._transfer
        if transfer is not None:
            if length is not None:
                raise MessageError(400, "send either Content-Length or Transfer-Encoding, not both")
            if self.minor == 0:
                raise MessageError(400, "Transfer-Encoding needs HTTP/1.1")
            if transfer.lower() != b"chunked":
                raise MessageError(400, "the only Transfer-Encoding accepted is chunked")
            return CHUNKED
        if length is None:
            return 0
        if CONTENT_LENGTH.fullmatch(length) is None:
            raise MessageError(400, "Content-Length must be one decimal number")
        return int(length)

    def _may_upgrade(self) -> bool:
        """RFC 6455 4.1: GET, HTTP/1.1, no body; other upgrades are ignored, never tunnelled."""
        return (
            self._upgrade == (b"websocket",)
            and b"upgrade" in self._options
            and self.method == b"GET"
            and self.minor == 1
            and self.body == 0
        )


def check_partial_head(data: bytes) -> None:
    """Refuse an unfinished head that can become none: 400, or 414 and 431 when it is too long."""
    # Up to three bytes of the CR LF CR LF that ends it may have come.
    _check_length(data, REQUEST_LINE_LIMIT + 1, HEAD_LIMIT + 3)
    if BARE_LF.search(data) is not None or _BEGINNING.match(data) is None:
        raise MessageError(400, "this is no HTTP/1.1 request; lines end with CR LF")


def parse_request(head: bytes) -> RequestHead:
    """Parse a head, given without its final empty line. Raises MessageError with the status."""
    if len(head) > REQUEST_LINE_LIMIT:
        _check_length(head, REQUEST_LINE_LIMIT, HEAD_LIMIT)
    line, _, block = head.partition(b"\r\n")
    return RequestHead(line, block)


def _check_length(head: bytes, line_limit: int, limit: int) -> None:
    if len(head) > line_limit and head.find(b"\r\n", 0, REQUEST_LINE_LIMIT + 2) < 0:
        raise MessageError(414, f"the request line is over {REQUEST_LINE_LIMIT} bytes")
    if len(head) > limit:
        raise MessageError(431, f"the request head is over {HEAD_LIMIT} bytes")


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
    if method not in COMMON_METHODS:
        if TOKEN.fullmatch(method) is None:
            raise _bad_request_line(parts)
        if method in (b"CONNECT", b"TRACE"):
            raise MessageError(
                405, f"{method.decode()} is not available through this gateway", _ALLOW
            )
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
