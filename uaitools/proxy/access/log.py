"""The access log: one JSON line a request, made when it ends.

What is the same for equal heads is turned into JSON once and kept with their plan, so that a line
costs one formatting of a few numbers. Whatever a client sends, a line is valid JSON in UTF-8, has
no line break within and is at most writer.LINE_LIMIT bytes long.
"""

from __future__ import annotations

import re
from time import gmtime, strftime, time
from typing import TYPE_CHECKING, Final
from zlib import crc32

import orjson

from uaitools.proxy.ends import MALFORMED, REFUSED, USUAL
from uaitools.proxy.http1.grammar import MessageError

if TYPE_CHECKING:
    from uaitools.errors import ServiceError
    from uaitools.proxy.access.record import Record
    from uaitools.proxy.access.writer import AccessWriter
    from uaitools.proxy.exchange import Exchange
    from uaitools.proxy.plan import Plan
    from uaitools.proxy.tunnel import Tunnel

# Bytes of JSON that one field may have, so that all of them fit into a line.
_PATH: Final = 768
_QUERY: Final = 384
_AGENT: Final = 256
_NAME: Final = 192  # host, route, service, endpoint, principal, addresses of proxies
_NOTES: Final = 512
_SHORT: Final = 1024  # of all fields of a head together, which need no look at each then
_ENDPOINTS: Final = 1024  # whose JSON is kept
_USER_AGENT: Final = re.compile(rb"\r\n[Uu][Ss][Ee][Rr]-[Aa][Gg][Ee][Nn][Tt]:[ \t]*([^\r]*)")
_EVERYTHING: Final = 1 << 32  # one more than the greatest CRC
_NULL: Final = b"null"

_START: Final = b'{"timestamp":"%b.%03dZ","request_id":"%b","trace_id":"%b","client":"%b",%b'
# Of most requests: on a connection that was there, of nobody known, with nothing noted.
_USUAL_LINE: Final = _START + (
    b',"endpoint":%b,"principal":null,"status":%d,"bytes_in":%d,"bytes_out":%d,"queue_ms":0.0,'
    b'"connect_ms":0.0,"first_byte_ms":%.3f,"total_ms":%.3f,"retries":%d,"end":"%b"}\n'
)
_END: Final = (
    b',"endpoint":%b,"principal":%b,"status":%d,"bytes_in":%d,"bytes_out":%d,%b'
    b'"total_ms":%.3f,"retries":%d,"end":"%b"%b}\n'
)
_LINE: Final = _START + _END
_TIMES: Final = b'"queue_ms":%b,"connect_ms":%b,"first_byte_ms":%b,'
_NO_TIMES: Final = b'"queue_ms":null,"connect_ms":null,"first_byte_ms":null,'
_REFUSAL: Final = (
    b'{"timestamp":"%b.%03dZ","request_id":"%b","trace_id":null,"client":"%b","method":null,'
    b'"host":null,"path":null,"route":null,"service":null,"user_agent":null'
    + _END.replace(b"%b}", b',"reason":%b}')
)


class AccessLog:
    """Makes the lines and gives them to `writer`.

    sample, errors, redacted_query: the settings of config.access.AccessLogSettings.
    """

    __slots__ = ("_endpoints", "_errors", "_query", "_second", "_share", "_stamp", "_writer")

    def __init__(
        self,
        writer: AccessWriter,
        *,
        sample: float = 1.0,
        errors: bool = True,
        redacted_query: bool = False,
    ) -> None:
        self._writer = writer
        self._share = int(sample * _EVERYTHING)
        self._errors = errors
        self._query = redacted_query
        self._endpoints: dict[str | None, bytes] = {None: _NULL}
        self._second = -1
        self._stamp = b""

    def __repr__(self) -> str:
        return f"<AccessLog {self._writer!r} share={self._share / _EVERYTHING:g}>"

    def exchange_ended(
        self, exchange: Exchange, record: Record, taken: float, received: int, end: bytes
    ) -> None:
        """Log a request. taken: seconds in all. received: bytes of its body. end: see ends."""
        status = exchange.status
        if self._share < _EVERYTHING and not self._chosen(exchange.request_id, status, end):
            return
        answered = record.answered
        if (
            not answered
            or record.queued
            or record.connecting
            or exchange.principal is not None
            or exchange.notes
        ):
            self._write(exchange, record, received, taken, end)
            return
        plan = exchange.plan
        now = time()
        second = int(now)
        endpoint = record.endpoint
        self._writer.write(
            _USUAL_LINE
            % (
                self._stamp if second == self._second else self._stamp_of(now),
                int((now - second) * 1000.0),
                exchange.request_id,
                exchange.trace_id,
                exchange.peer,
                plan.logged or self._fields(plan),
                self._endpoints.get(endpoint) or self._name(endpoint),
                status,
                received,
                record.sent,
                (answered - record.attached) * 1000.0,
                taken * 1000.0,
                record.retries,
                end,
            )
        )

    def tunnel_ended(
        self, exchange: Exchange, record: Record, tunnel: Tunnel, taken: float, end: bytes
    ) -> None:
        """Log a tunnel, with the bytes that went through either way."""
        if self._share < _EVERYTHING and not self._chosen(exchange.request_id, 101, end):
            return
        record.sent = tunnel.sent
        self._write(exchange, record, tunnel.received, taken, end)

    def refused(self, error: ServiceError, request_id: str, address: bytes) -> None:
        """Log bytes that were no request, or a connection that was one too many."""
        end = MALFORMED if isinstance(error, MessageError) else REFUSED
        name = request_id.encode()
        if self._share < _EVERYTHING and not self._chosen(name, error.code, end):
            return
        now = time()
        self._writer.write(
            _REFUSAL
            % (
                self._stamp_of(now),
                int(now % 1.0 * 1000.0),
                name,
                address,
                _NULL,
                _NULL,
                error.code,
                0,
                0,
                _NO_TIMES,
                0.0,
                0,
                end,
                _text(error.message.encode(), _NOTES),
            )
        )

    def _write(
        self, exchange: Exchange, record: Record, received: int, taken: float, end: bytes
    ) -> None:
        plan = exchange.plan
        now = time()
        endpoint, principal, notes = record.endpoint, exchange.principal, exchange.notes
        self._writer.write(
            _LINE
            % (
                self._stamp_of(now),
                int(now % 1.0 * 1000.0),
                exchange.request_id,
                exchange.trace_id,
                exchange.peer,
                plan.logged or self._fields(plan),
                self._endpoints.get(endpoint) or self._name(endpoint),
                _NULL if principal is None else _text(principal.encode(), _NAME),
                exchange.status,
                received,
                record.sent,
                _times(record, taken),
                taken * 1000.0,
                record.retries,
                end,
                _noted(notes) if notes else b"",
            )
        )

    def _chosen(self, request_id: bytes, status: int, end: bytes) -> bool:
        if self._errors and (status >= 500 or end not in USUAL):
            return True
        # By the id, so that what a gateway logs of a request its upstreams can log as well.
        return crc32(request_id) < self._share

    def _stamp_of(self, now: float) -> bytes:
        second = int(now)
        if second != self._second:
            self._stamp = strftime("%Y-%m-%dT%H:%M:%S", gmtime(second)).encode()
            self._second = second
        return self._stamp

    def _name(self, endpoint: str | None) -> bytes:
        if len(self._endpoints) >= _ENDPOINTS:
            self._endpoints.clear()
        name = _NULL if endpoint is None else _text(endpoint.encode(), _NAME)
        self._endpoints[endpoint] = name
        return name

    def _fields(self, plan: Plan) -> bytes:
        """The part of a line that is the same for equal heads, which keep it."""
        head = plan.head
        agent = _USER_AGENT.search(head.lines)
        if len(head.path) < _SHORT and not self._query and not plan.trust.chain:
            fields = orjson.dumps(
                {
                    "method": head.method.decode(),
                    "host": None if head.host is None else head.host.decode("utf-8", "replace"),
                    "path": head.path.decode("utf-8", "replace"),
                    "route": plan.series.endpoint,
                    "service": plan.service.name,
                    "user_agent": None if agent is None else agent[1].decode("utf-8", "replace"),
                }
            )
            if len(fields) < _SHORT:
                plan.logged = fields[1:-1]
                return plan.logged
        plan.logged = self._bounded_fields(plan, None if agent is None else agent[1])
        return plan.logged

    def _bounded_fields(self, plan: Plan, agent: bytes | None) -> bytes:
        """The same, each field within its limit."""
        head = plan.head
        path = _text(head.path, _PATH)
        if self._query and head.query:
            path = path[:-1] + _text(redacted(head.query), _QUERY)[1:]
        fields = b'"method":%b,"host":%b,"path":%b,"route":%b,"service":%b,"user_agent":%b' % (
            _text(head.method, 64),
            _NULL if head.host is None else _text(head.host, _NAME),
            path,
            _text(plan.series.endpoint.encode(), _NAME),
            _text(plan.service.name.encode(), _NAME),
            _NULL if agent is None else _text(agent, _AGENT),
        )
        if plan.trust.chain:
            # Of trusted proxies: whom they were asked by.
            fields += b',"forwarded_for":%b' % _text(plan.trust.chain.rstrip(b", "), _NAME)
        return fields


def redacted(query: bytes) -> bytes:
    """A query with its '?', each value replaced by "-"."""
    pairs = [pair.partition(b"=") for pair in query[1:].split(b"&")]
    return b"?" + b"&".join([name + b"=-" if equals else b"-" for name, equals, _ in pairs])


def _text(data: bytes, limit: int) -> bytes:
    """A JSON string of at most `limit` bytes; what is too long ends in an ellipsis."""
    if len(data) <= limit:
        text = orjson.dumps(data.decode("utf-8", "replace"))
        if len(text) <= limit:
            return text
    text = orjson.dumps(data[: limit - 5].decode("utf-8", "replace") + "\u2026")
    if len(text) <= limit:
        return text
    # Each byte may become six, \\u001f.
    return orjson.dumps(data[: limit // 6 - 1].decode("utf-8", "replace") + "\u2026")


def _noted(notes: dict[str, object]) -> bytes:
    """What hooks have noted, if it is JSON and not too long."""
    try:
        text = orjson.dumps(notes, default=repr)
    except (TypeError, ValueError):
        text = b""
    return b',"notes":' + (text if 0 < len(text) <= _NOTES else _NULL)


def _times(record: Record, taken: float) -> bytes:
    """The parts of the time that was taken, as far as it came to them."""
    attached, answered = record.attached, record.answered
    if not attached:  # it never had a connection
        queued = _NULL if record.endpoint is None else b"%.3f" % (taken * 1000.0)
        return _TIMES % (queued, _NULL, _NULL)
    return _TIMES % (
        b"%.3f" % (record.queued * 1000.0),
        b"%.3f" % (record.connecting * 1000.0),
        b"%.3f" % ((answered - attached) * 1000.0) if answered else _NULL,
    )
