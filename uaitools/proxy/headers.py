"""The heads that the proxy sends: what is stripped, what is dropped, what is added, in that order.

The order is the security model (rules in docs/http.md): first everything hop-by-hop and all that
Connection names, then what a client could forge, and our own fields last, so that nothing a
client sends can remove or replace them.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Final, NamedTuple

from uaitools.errors import ServiceError
from uaitools.proxy.http1 import fields as f
from uaitools.proxy.http1.fields import Field
from uaitools.proxy.http1.grammar import TRACEPARENT
from uaitools.proxy.http1.request import CHUNKED, RequestHead
from uaitools.proxy.http1.response import ResponseHead
from uaitools.proxy.routing import RouteError

_BEGUN: Final = b"-01\r\n\r\n"  # the end of a head with a trace that begins here: sampled
VIA: Final = b"Via: 1.1 uaitools\r\n"
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._:+/=@\-]{1,128}")
_FORWARDED_PROTO: Final = b"x-forwarded-proto"
_FORWARDED_HOST: Final = b"x-forwarded-host"
# Methods whose requests say how long their content is, even when there is none (RFC 9110 8.6).
_WITH_CONTENT: Final = frozenset((b"POST", b"PUT", b"PATCH"))


class Outgoing(NamedTuple):
    """A request head for the upstream, up to what differs from request to request.

    The whole head is: prefix, the client's address, X-Request-Id, and traceparent, which ends in
    trace_flags. request_id and trace (32 hex digits) are None when they begin here.
    """

    prefix: bytes
    request_id: bytes | None
    trace: bytes | None
    trace_flags: bytes


def outgoing(head: RequestHead, path: bytes, *, trusted: bool) -> Outgoing:
    """The upstream's head for `head`, to be sent to `path`; trusted: the peer is a known proxy."""
    own: list[bytes] = []
    chain: list[bytes] = []
    traces: list[bytes] = []
    states: list[bytes] = []
    request_id: bytes | None = None
    proto = host = False
    for field in head.trust:
        kind = field.kind
        if kind == f.TRACEPARENT:
            traces.append(field.value)
        elif kind == f.TRACESTATE:
            states.append(field.line)
        elif not trusted:
            continue
        elif kind == f.FORWARDED_FOR:
            chain.append(field.value)
        elif kind == f.FORGEABLE:
            own.append(field.line)
            proto = proto or field.name == _FORWARDED_PROTO
            host = host or field.name == _FORWARDED_HOST
        elif kind == f.REQUEST_ID and _REQUEST_ID.fullmatch(field.value) is not None:
            request_id = field.value

    trace, flags = _continued_trace(traces) if traces else (None, _BEGUN)
    if trace is not None:
        own += states
    if not proto:
        own.append(b"X-Forwarded-Proto: http\r\n")
    if not host and head.host:
        own.append(b"X-Forwarded-Host: %b\r\n" % head.host)
    prefix = b"".join(
        (
            head.method,
            b" ",
            path,
            head.query,
            b" HTTP/1.1\r\nHost: ",
            head.host,
            b"\r\n",
            _message_lines(head),
            head.lines,
            *own,
            VIA,
            b"X-Forwarded-For: ",
            *[value + b", " for value in chain if value],
        )
    )
    return Outgoing(prefix, request_id, trace, flags)


def _message_lines(head: RequestHead) -> bytes:
    """Framing and Connection, decided by us."""
    if head.websocket:
        return b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    lines = b"Connection: TE\r\nTE: trailers\r\n" if head.accepts_trailers else b""
    if head.body == CHUNKED:
        lines += b"Transfer-Encoding: chunked\r\n"
        if head.trailers:
            lines += b"Trailer: %b\r\n" % b", ".join(sorted(head.trailers))
    elif head.body or head.method in _WITH_CONTENT:
        lines += b"Content-Length: %d\r\n" % head.body
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


def error_head(error: ServiceError, length: int, date: bytes) -> ResponseHead:
    """The head of our own answer to a request that failed. date: an IMF-fixdate."""
    lines = b"Content-Type: application/json\r\nDate: %b\r\n" % date
    if error.retry_after is not None:
        lines += b"Retry-After: %d\r\n" % max(1, round(error.retry_after + 0.5))
    if isinstance(error, RouteError) and error.allow:
        lines += b"Allow: %b\r\n" % error.allow
    return ResponseHead(
        status=error.code,
        fields=(),
        start=b"HTTP/1.1 %d %b\r\n%b" % (error.code, _reason(error.code), lines),
        length=b"Content-Length: %d\r\n" % length,
        body=length,
        keep_alive=True,
        idle=0.0,
        websocket=False,
        trailers=frozenset(),
    )


def _reason(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b""


def announced(trailers: tuple[Field, ...], names: frozenset[bytes]) -> tuple[Field, ...]:
    """The trailer fields that their message announced in Trailer."""
    return tuple([field for field in trailers if field.name in names])
