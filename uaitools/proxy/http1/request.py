"""A request head -> RequestHead: every rule about what a request may look like."""

from __future__ import annotations

import re
from typing import Final

from uaitools.proxy.http1 import fields as f
from uaitools.proxy.http1.body import CHUNKED
from uaitools.proxy.http1.fields import (
    NO_MEMBERS,
    Field,
    forwarded_lines,
    parse_request_field,
)
from uaitools.proxy.http1.grammar import (
    BARE_LF,
    COMMON_METHODS,
    CONTENT_LENGTH,
    FIELD_COUNT_LIMIT,
    HEAD_LIMIT,
    MILLISECONDS,
    REQUEST_LINE_LIMIT,
    TOKEN,
    VERSION,
    MessageError,
)
from uaitools.proxy.http1.target import parse_target
from uaitools.proxy.http1.usual import match_usual

_MINOR: Final = {b"HTTP/1.1": 1, b"HTTP/1.0": 0}
_SHORT: Final = 4 * FIELD_COUNT_LIMIT  # bytes; a head of so many cannot break a limit
# What may stand at the start of an unfinished head: an empty line, a method, a space.
_BEGINNING: Final = re.compile(rb"(?:\r\n)?(?:\r?$|[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?: |$))")
_ALLOW: Final = b", ".join(sorted(COMMON_METHODS))
_IDEMPOTENT: Final = frozenset((b"GET", b"HEAD", b"OPTIONS"))
# Tokens of Connection that name no header to strip (RFC 9110 7.6.1).
_OPTIONS: Final = frozenset((b"close", b"keep-alive", b"upgrade", b"te"))
_ANY: Final = b"GET / HTTP/1.1\r\nHost: a"
_CREDENTIALS: Final = frozenset((b"authorization", b"x-api-key"))


class Controls:
    """What the fields about a message and its connection say, taken together.

    Most requests have none, and share one. length, transfer: the values of Content-Length and
    Transfer-Encoding, or None. options: the members of Connection. upgrade: those of Upgrade.
    trailers: names announced by Trailer. trust: fields that are believed from some peers only,
    and the trace context. keyed: there is an Idempotency-Key. timeout: of X-Request-Timeout,
    decimal digits, or None.
    """

    __slots__ = (
        "accepts_trailers",
        "expects_continue",
        "keyed",
        "length",
        "options",
        "timeout",
        "trailers",
        "transfer",
        "trust",
        "upgrade",
    )

    def __init__(self, fields: list[Field]) -> None:
        self.length: bytes | None = None
        self.transfer: bytes | None = None
        self.timeout: bytes | None = None
        self.options = NO_MEMBERS
        self.upgrade = NO_MEMBERS
        self.trailers: frozenset[bytes] = frozenset()
        self.trust: list[Field] = []
        self.accepts_trailers = self.expects_continue = self.keyed = False
        for field in fields:
            if field.kind >= f.FORGEABLE:
                self.trust.append(field)
            else:
                self._note(field)

    def __repr__(self) -> str:
        return f"<Controls options={self.options} trust={self.trust}>"

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
        elif kind == f.EXPECT:
            self.expects_continue = _expectation(field.value)
        elif kind == f.TE:
            self.accepts_trailers = self.accepts_trailers or b"trailers" in field.members
        elif kind == f.TRAILER:
            self.trailers |= frozenset(field.members)
        elif kind == f.IDEMPOTENCY:
            self.keyed = True
        elif kind == f.REQUEST_TIMEOUT:
            self.timeout = _milliseconds(_once(self.timeout, field))

    def strip(self, names: frozenset[bytes]) -> None:
        """Drop what the client has named in Connection."""
        self.trailers -= names
        self.keyed = self.keyed and b"idempotency-key" not in names
        if b"x-request-timeout" in names:
            self.timeout = None
        self.trust = [field for field in self.trust if field.name not in names]

    def framing(self, minor: int) -> int:
        """The body as in RequestHead: RFC 9112 6.1-6.3 without its leniencies.

        What could be read in two ways is refused with MessageError 400.
        """
        length = self.length
        if self.transfer is not None:
            if length is not None:
                raise MessageError(400, "send either Content-Length or Transfer-Encoding, not both")
            if minor == 0:
                raise MessageError(400, "Transfer-Encoding needs HTTP/1.1")
            if self.transfer.lower() != b"chunked":
                raise MessageError(400, "the only Transfer-Encoding accepted is chunked")
            return CHUNKED
        if length is None:
            return 0
        if CONTENT_LENGTH.fullmatch(length) is None:
            raise MessageError(400, "Content-Length must be one decimal number")
        return int(length)


NO_CONTROLS: Final = Controls([])


class RequestHead:
    """A request head that is valid and can be understood in one way only; never changed.

    path: normalised; query: as sent, with its '?'. minor: of HTTP/1.minor. lines: those to
    forward as they are, each after a CR LF, without what Connection names. credentials: in the
    same form, Authorization and X-API-Key. body: bytes of Content-Length, 0 for none, CHUNKED.
    replayable: RFC 9110 9.2.2 methods and requests with an Idempotency-Key may be sent again.
    controls: what the other fields say.

    head: as it came, without its final empty line. Raises MessageError with the status of the
    refusal.
    """

    __slots__ = (
        "body",
        "controls",
        "credentials",
        "host",
        "keep_alive",
        "lines",
        "method",
        "minor",
        "path",
        "query",
        "replayable",
        "websocket",
    )

    def __init__(self, head: bytes) -> None:
        if len(head) > _SHORT:
            _check_size(head)
        usual = match_usual(head)
        if usual is None:
            self._parse(head)
            return
        groups = usual.groups()
        self.method, self.path, self.query, host, self.lines, more, credentials, last = groups
        if more:
            self.lines += more
        self.credentials = credentials or b""
        if last:
            self.lines += last
        self.host: bytes | None = host
        self.minor = 1
        self.body = 0
        self.controls = NO_CONTROLS
        self.keep_alive = True
        self.replayable = self.method in _IDEMPOTENT
        self.websocket = False

    def __repr__(self) -> str:
        return f"<RequestHead {self.method.decode()} {self.path.decode()} body={self.body}>"

    def values(self, name: bytes, believed: bytes = b"") -> bytes:
        """What is said of a field, by its lower-case name; several values joined by commas.

        believed: lines that the head does not have among its own, each after a CR LF.
        """
        if name == b"host":
            return self.host or b""
        lines = self.lines + self.credentials + believed
        fields = (line.partition(b":") for line in lines.split(b"\r\n"))
        return b",".join(value.strip(b" \t") for n, _, value in fields if n.lower() == name)

    def with_lines(self, lines: bytes) -> RequestHead:
        """The same head with other lines to forward, each after a CR LF."""
        other = RequestHead(_ANY)  # a compiled class cannot be copied
        other.method, other.path, other.query = self.method, self.path, self.query
        other.host, other.minor, other.body = self.host, self.minor, self.body
        other.controls, other.credentials = self.controls, self.credentials
        other.keep_alive, other.replayable = self.keep_alive, self.replayable
        other.websocket = self.websocket
        other.lines = lines
        if self.credentials:
            # A credential among the new lines takes the place of the client's.
            names = {line.partition(b":")[0].lower() for line in lines.split(b"\r\n")}
            kept = [
                line
                for line in self.credentials.split(b"\r\n")[1:]
                if line.partition(b":")[0].lower() not in names
            ]
            other.credentials = b"".join(b"\r\n" + line for line in kept)
        return other

    def _parse(self, head: bytes) -> None:
        line, _, block = head.partition(b"\r\n")
        self.method, target, self.minor = _request_line(line)
        self.path, self.query, authority = parse_target(target, self.method)
        self.replayable = self.method in _IDEMPOTENT
        self.host = None
        self.credentials = b""
        lines, controls = self._sort(block.split(b"\r\n") if block else [])
        self._check_host(authority)
        self.controls = NO_CONTROLS
        if controls:
            self.controls = Controls(controls)
            lines = self._strip(lines)
            self.replayable = self.replayable or self.controls.keyed
        self.lines = b"\r\n".join([b"", *lines]) if lines else b""
        self._decide()

    def _sort(self, lines: list[bytes]) -> tuple[list[bytes], list[Field]]:
        """The lines that are only forwarded, and the fields of the others, but for Host."""
        forwarded: list[bytes] = []
        controls: list[Field] = []
        known = forwarded_lines.young
        for line in lines:
            field = None if line in known else parse_request_field(line)
            if field is None:
                forwarded.append(line)
            elif field.kind == f.HOST:
                self.host = _once(self.host, field)
            elif field.kind == f.CREDENTIAL:
                self.credentials += b"\r\n" + line
            else:
                controls.append(field)
                if field.kind == f.IDEMPOTENCY:
                    forwarded.append(line)
        return forwarded, controls

    def _strip(self, lines: list[bytes]) -> list[bytes]:
        """RFC 9110 7.6.1: drop every field that Connection names (CVE-2024-45410)."""
        names = frozenset(self.controls.options) - _OPTIONS
        if not names:
            return lines
        self.controls.strip(names)
        if not names.isdisjoint(_CREDENTIALS):
            self.credentials = b""
        return [line for line in lines if line.partition(b":")[0].lower() not in names]

    def _decide(self) -> None:
        controls, options = self.controls, self.controls.options
        self.body = controls.framing(self.minor)
        if controls.expects_continue and (self.minor == 0 or self.body == 0):
            controls.expects_continue = False
        self.keep_alive = b"close" not in options and (self.minor == 1 or b"keep-alive" in options)
        # RFC 6455 4.1: GET, HTTP/1.1, no body; other upgrades are ignored, never tunnelled.
        self.websocket = (
            controls.upgrade == (b"websocket",)
            and b"upgrade" in options
            and self.method == b"GET"
            and self.minor == 1
            and self.body == 0
        )

    def _check_host(self, authority: bytes | None) -> None:
        if self.host is None:
            if self.minor == 1:
                raise MessageError(400, "HTTP/1.1 requests need a Host header")
            self.host = authority
        elif authority is not None and authority.lower() != self.host.lower():
            raise MessageError(400, "the authority of the request target differs from Host")


def check_partial_head(data: bytes) -> None:
    """Refuse an unfinished head that can become none: 400, or 414 and 431 when it is too long."""
    # Up to three bytes of the CR LF CR LF that ends it may have come.
    _check_length(data, REQUEST_LINE_LIMIT + 1, HEAD_LIMIT + 3)
    if BARE_LF.search(data) is not None or _BEGINNING.match(data) is None:
        raise MessageError(400, "this is no HTTP/1.1 request; lines end with CR LF")


def _check_size(head: bytes) -> None:
    _check_length(head, REQUEST_LINE_LIMIT, HEAD_LIMIT)
    if head.count(b"\r\n") > FIELD_COUNT_LIMIT:
        raise MessageError(431, f"more than {FIELD_COUNT_LIMIT} header fields")


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


def _milliseconds(value: bytes) -> bytes:
    if MILLISECONDS.fullmatch(value) is None:
        raise MessageError(400, "X-Request-Timeout is a whole number of milliseconds, at least 1")
    return value


def _expectation(value: bytes) -> bool:
    if value.lower() != b"100-continue":
        raise MessageError(417, "the only expectation understood is 100-continue")
    return True
