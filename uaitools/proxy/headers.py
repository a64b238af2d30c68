"""The heads that the proxy sends: what is stripped, what is dropped, what is added, in that order.

The order is the security model (rules in docs/http.md): first everything hop-by-hop and all that
Connection names, then what a client could forge, and our own fields last, so that nothing a
client sends can remove or replace them.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from uaitools.auth.errors import AuthError
from uaitools.errors import ServiceError, error_body
from uaitools.proxy.http1 import fields as f
from uaitools.proxy.http1.body import CHUNKED
from uaitools.proxy.http1.fields import USER_PREFIX, Field
from uaitools.proxy.http1.grammar import TRACEPARENT, MessageError
from uaitools.proxy.http1.request import NO_CONTROLS, RequestHead
from uaitools.proxy.http1.response import ResponseHead
from uaitools.proxy.routing.router import RouteError

if TYPE_CHECKING:
    from uaitools.proxy.routing.edits import Edits

GATEWAY: Final = "proxy"  # its name in errors, unless something else is mounted
_NO_HOST: Final = b"localhost"  # an HTTP/1.0 client need not send one, an HTTP/1.1 server needs it
_BEGUN: Final = b"-01\r\n\r\n"  # the end of a head with a trace that begins here: sampled
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._:+/=@\-]{1,128}")
# Methods whose requests say how long their content is, even when there is none (RFC 9110 8.6).
_WITH_CONTENT: Final = frozenset((b"POST", b"PUT", b"PATCH"))


def outgoing(
    head: RequestHead,
    path: bytes,
    trust: Trust,
    identity: bytes | None = None,
    *,
    edits: Edits | None = None,
    sent_host: bytes | None = None,
) -> bytes:
    """The upstream's head for `head`, sent to `path`, up to what differs between equal requests.

    identity: lines that say who the client is, in place of its credentials. edits: of the client's
    fields. sent_host: what Host says instead of the client's. The head ends within
    X-Forwarded-For, where the client's address follows; then come X-Request-Id and traceparent.
    """
    host = head.host or _NO_HOST
    lines = head.lines + (head.credentials if identity is None else identity)
    plain = head.controls is NO_CONTROLS and head.method not in _WITH_CONTENT
    return b"".join(
        (
            head.method,
            b" ",
            path,
            head.query,
            b" HTTP/1.1\r\nHost: ",
            sent_host or host,
            b"" if plain else _message_lines(head),
            lines if edits is None else edits.request(lines),
            trust.lines,
            trust.user if identity is None else b"",
            b"" if trust.proto else b"\r\nX-Forwarded-Proto: " + trust.scheme,
            b"" if trust.host or head.host is None else b"\r\nX-Forwarded-Host: " + host,
            trust.certificate,
            b"\r\nVia: 1.1 uaitools\r\nX-Forwarded-For: ",
            trust.chain,
        )
    )


class Trust:
    """What is kept of the fields that a client could forge, and of its trace context.

    scheme: of the client's connection. lines: to forward, each after a CR LF. In the same form
    certificate: about the client's, and user: X-User-*, which gives way to what the gateway finds
    out itself. chain: X-Forwarded-For so far, ended by ", " unless empty. request_id and trace (32
    hex digits): None when they begin here. trace_flags: what follows the span id in traceparent, up
    to the end of the head.
    """

    __slots__ = (
        "certificate",
        "chain",
        "host",
        "lines",
        "proto",
        "request_id",
        "scheme",
        "trace",
        "trace_flags",
        "user",
    )

    def __init__(
        self,
        fields: list[Field],
        *,
        trusted: bool,
        scheme: bytes = b"http",
        certificate: bytes = b"",
    ) -> None:
        self.scheme = scheme
        self.certificate = certificate
        self.lines = self.user = self.chain = b""
        self.proto = self.host = False
        self.request_id: bytes | None = None
        traces: list[bytes] = []
        states = b""
        for field in fields:
            if field.kind == f.TRACEPARENT:
                traces.append(field.value)
            elif field.kind == f.TRACESTATE:
                states += b"\r\n" + field.line
            elif trusted:
                self._believe(field)
        self.trace, self.trace_flags = _continued_trace(traces)
        if self.trace is not None:
            self.lines += states

    def _believe(self, field: Field) -> None:
        if field.kind == f.FORWARDED_FOR:
            if field.value:
                self.chain += field.value + b", "
        elif field.kind == f.REQUEST_ID:
            if _REQUEST_ID.fullmatch(field.value) is not None:
                self.request_id = field.value
        elif field.name.startswith(USER_PREFIX):
            self.user += b"\r\n" + field.line
        else:
            self.lines += b"\r\n" + field.line
            self.proto = self.proto or field.name == b"x-forwarded-proto"
            self.host = self.host or field.name == b"x-forwarded-host"


def _message_lines(head: RequestHead) -> bytes:
    """Framing and Connection, decided by us."""
    if head.websocket:
        return b"\r\nConnection: Upgrade\r\nUpgrade: websocket"
    controls = head.controls
    lines = b"\r\nConnection: TE\r\nTE: trailers" if controls.accepts_trailers else b""
    if head.body == CHUNKED:
        lines += b"\r\nTransfer-Encoding: chunked"
        if controls.trailers:
            lines += b"\r\nTrailer: " + b", ".join(sorted(controls.trailers))
    elif head.body or head.method in _WITH_CONTENT:
        lines += b"\r\nContent-Length: %d" % head.body
    return lines


def _continued_trace(values: list[bytes]) -> tuple[bytes | None, bytes]:
    """W3C Trace Context 3.2.2 and 4.3: continue one valid traceparent, else begin a new trace.

    Returns the trace id and what follows the span id, up to the end of the head.
    """
    if len(values) == 1:
        match = TRACEPARENT.fullmatch(values[0])
        if match is not None and match[1].strip(b"0") and match[2].strip(b"0"):
            return match[1], b"-%b\r\n\r\n" % match[3]
    return None, _BEGUN


def framing(
    head: ResponseHead, request: RequestHead, *, bodiless: bool, keep: bool
) -> tuple[bytes, bool, bool]:
    """How an answer ends for its client: RFC 9112 6.3 and 9.3 by the client's version.

    bodiless: whatever `head` says, there is no body. keep: nothing so far asks to close the
    connection. Returns the framing and Connection lines, whether the body is chunked, and whether
    the connection stays open.
    """
    sized = bodiless or head.body >= 0
    chunked = not sized and request.minor == 1
    lines = head.length
    if chunked:
        lines += b"Transfer-Encoding: chunked\r\n"
        if head.trailers and request.controls.accepts_trailers:
            lines += b"Trailer: %b\r\n" % b", ".join(sorted(head.trailers))
    elif not sized:
        keep = False  # only the end of the connection can end this body
    if not keep:
        lines += b"Connection: close\r\n"
    elif not request.minor:
        lines += b"Connection: keep-alive\r\n"
    return lines, chunked, keep


def switching(head: ResponseHead, request_id: bytes, added: bytes = b"") -> bytes:
    """The 101 that begins a tunnel, whole. added: lines beside its own, each ended by CR LF."""
    return b"%bConnection: Upgrade\r\nUpgrade: websocket\r\n%bX-Request-Id: %b\r\n\r\n" % (
        head.start,
        added,
        request_id,
    )


def error_answer(
    error: ServiceError, request_id: str, date: str, name: str = GATEWAY, *, message_as: str = ""
) -> tuple[ResponseHead, bytes]:
    """Our own answer to a request that failed: head and content.

    date: an IMF-fixdate. name: by which the gateway goes here, in errors of its own. message_as:
    see error_body.
    """
    service = name if error.service == GATEWAY else ""
    content = error_body(error, request_id, service, message_as=message_as)
    lines = b"Content-Type: application/json\r\nDate: %b\r\n" % date.encode()
    if isinstance(error, AuthError):
        lines += b"WWW-Authenticate: %b\r\n" % error.challenge.encode()
    if error.retry_seconds is not None:
        lines += b"Retry-After: %d\r\n" % error.retry_seconds
    if isinstance(error, RouteError | MessageError) and error.allow:
        lines += b"Allow: %b\r\n" % error.allow
    if isinstance(error, RouteError) and error.codings:  # RFC 9110 15.5.16
        lines += b"Accept-Encoding: %b\r\n" % error.codings
    return local_head(error.code, lines, len(content)), content


def local_head(status: int, lines: bytes, length: int) -> ResponseHead:
    """The head of an answer of our own. lines: each ended by CR LF. length: of its content."""
    bodiless = status in (204, 304)  # RFC 9110 8.6
    return ResponseHead(
        status,
        b"HTTP/1.1 %d %b\r\n%b" % (status, _reason(status), lines),
        b"" if bodiless else b"Content-Length: %d\r\n" % length,
        0 if bodiless else length,
    )


def _reason(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b""


def announced(trailers: tuple[Field, ...], names: frozenset[bytes]) -> tuple[Field, ...]:
    """The trailer fields that their message announced in Trailer."""
    return tuple([field for field in trailers if field.name in names])
