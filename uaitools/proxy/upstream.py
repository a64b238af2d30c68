"""One connection to an upstream: requests go out framed by us, responses come in parsed strictly.

Between exchanges it sits idle in its pool. It returns there only if both bodies are complete,
nothing else arrived, and neither side wants to close; bytes or EOF while idle discard it.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

from uaitools.proxy.connection import Connection
from uaitools.proxy.failure import CLOSED, PROTOCOL, RESET, TIMEOUT, TRUNCATED, UNASKED, Failure
from uaitools.proxy.headers import announced
from uaitools.proxy.http1.body import (
    CHUNKED,
    UNTIL_CLOSE,
    ChunkedBody,
    CloseBody,
    LengthBody,
    encode,
)
from uaitools.proxy.http1.grammar import MessageError
from uaitools.proxy.http1.response import (
    ResponseHead,
    check_partial_response,
    parse_response,
)
from uaitools.proxy.memo import Memo
from uaitools.proxy.sweep import NEVER

if TYPE_CHECKING:
    import asyncio

    from uaitools.proxy.exchange import Exchange
    from uaitools.proxy.pool import Pool
    from uaitools.proxy.tunnel import Tunnel

INTERIM_LIMIT: Final = 16  # 1xx responses before a final one
AGE_LIMIT: Final = 3600.0  # seconds that one connection lives
_CLOSE_SECONDS: Final = 2.0  # a close that has not finished by then is an abort

# Equal response heads are parsed once, like request heads.
_heads: Final[Memo[ResponseHead]] = Memo(capacity=512, key_limit=2048)


class Upstream(Connection):
    """The protocol of one upstream connection.

    served: exchanges begun on it. retires: when it is too old for another, monotonic. sent: the
    request is out completely. took: seconds that it took to connect.
    """

    __slots__ = (
        "_announced",
        "_body",
        "_buffer",
        "_closing",
        "_ended",
        "_idle",
        "_interims",
        "_keep",
        "_pool",
        "_tunnel",
        "_turn",
        "connected",
        "exchange",
        "retires",
        "sent",
        "served",
        "took",
    )

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool.outbox)
        self._pool = pool
        self._body: LengthBody | ChunkedBody | CloseBody | None = None
        self._tunnel: Tunnel | None = None
        self._buffer = b""
        self._announced: frozenset[bytes] = frozenset()
        self._closing = False
        self._keep = False
        self._ended = True
        self._idle = 0.0
        self._interims = 0
        self._turn = -1  # of the loop, in which the request was begun
        self.retires = 0.0
        self.connected = False
        self.exchange: Exchange | None = None
        self.sent = True
        self.served = 0
        self.took = 0.0

    def __repr__(self) -> str:
        state = "busy" if self.exchange is not None else "idle"
        return f"<Upstream {self._pool.endpoint.address} {state} served={self.served}>"

    @property
    def usable(self) -> bool:
        """Connected, and nothing has closed it."""
        return self._transport is not None and not self._closing

    # -- the life of a connection, in order -------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._connected(transport)
        self.retires = monotonic() + AGE_LIMIT
        self.connected = True
        self._pool.sweep.connections.add(self)

    def begin(self, exchange: Exchange, head: bytes, deadline: float) -> None:
        """Send a request without a body, whose response has to begin by `deadline`."""
        self.exchange = exchange
        self.served += 1
        self.sent = True
        self._interims = 0
        self.deadline = deadline
        outbox = self._outbox
        self._turn = outbox.turn
        outbox.send(self, head)

    def begin_with_body(
        self, exchange: Exchange, head: bytes, payload: bytes, deadline: float, *, done: bool
    ) -> None:
        """Send a request's head with what there is of its body."""
        self._ended = done
        self.begin(exchange, head + _framed(exchange, payload, done=done), deadline)
        if not done or self.full:
            self._wrote(done=done)

    def send(self, payload: bytes, *, done: bool) -> None:
        """Send more of the request's body."""
        assert self.exchange is not None
        data = _framed(self.exchange, payload, done=done)
        self._ended = done
        if data:
            self.write(data)
        self._wrote(done=done)

    def _wrote(self, *, done: bool) -> None:
        """Note how far the request is out: whose turn it is, and whether a reuse could follow."""
        self._ended = done
        self.sent = done and not self.full
        if self._body is None:
            # While the client is slow with its body, it is the client's deadline that counts.
            assert self.exchange is not None
            patience = self.exchange.plan.patience.first_byte
            self.deadline = monotonic() + patience if done or self.full else NEVER

    def waited(self, now: float) -> float:
        """Seconds since the request was out, for one whose answer has not begun."""
        if self.exchange is None or self.deadline == NEVER:
            return 0.0
        return now - (self.deadline - self.exchange.plan.patience.first_byte)

    def data_received(self, data: bytes) -> None:  # noqa: C901, PLR0911, PLR0912 - one path
        exchange = self.exchange
        if exchange is None:
            if self._tunnel is not None:
                self._tunnel.from_upstream(data)
            else:
                self.close()  # bytes that nobody asked for: no response on here can be trusted
            return
        if self._body is not None:
            self._receive_body(exchange, data)
            return
        if self._turn == self._outbox.turn:
            # The request is not out yet: these bytes answer another one, or none.
            self._pool.service.note(UNASKED, self._pool.endpoint)
            self.abort()
            exchange.upstream_failed(UNASKED, stale=True)
            return
        if self._buffer:
            data = self._buffer + data
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self._receive_partial(exchange, data)
            return
        raw = data[:end]
        head = _heads.young.get(raw)
        if head is None:
            try:
                head = parse_response(raw)
            except MessageError as error:
                self._fail(exchange, PROTOCOL, error.message)
                return
            _heads.put(raw, head)
        if head.status < 200:
            self._buffer = b""
            self._receive_interim(exchange, head, data[end + 4 :])
            return
        size = 0 if exchange.plan.is_head else head.body
        start = end + 4
        extra = len(data) - start - size
        if size >= 0 and extra >= 0:
            # The whole response came at once: the common case, and the fast one.
            payload = data[start : start + size] if extra else data[start:]
            now = monotonic()
            if head.status >= 400 and exchange.wants_another_try(head, now):
                self._release(now, head.idle, keep=head.keep_alive and not extra)
                exchange.try_again(head.status, now)
                return
            if head.keep_alive and not extra and self.sent and not self._closing:
                self._buffer = b""
                self.exchange = None
                self._pool.checkin(self, now, head.idle)
            else:
                self.close()
            exchange.respond(head, payload, now, True)
        else:
            self._begin_body(exchange, head, size, data[start:])

    def _receive_partial(self, exchange: Exchange, data: bytes) -> None:
        self._buffer = data
        try:
            check_partial_response(data)
        except MessageError as error:
            self._fail(exchange, PROTOCOL, error.message)

    def _receive_interim(self, exchange: Exchange, head: ResponseHead, rest: bytes) -> None:
        """RFC 9110 15.2. A 101 begins a tunnel, if one was asked for; 100 is ours to send."""
        if head.status == 101:
            if not (exchange.plan.head.websocket and head.websocket):
                self._fail(exchange, PROTOCOL, "the service switched protocols unasked")
                return
            self.exchange = None
            self.deadline = NEVER
            self._tunnel = exchange.upgrade(self, head, rest)
            if self.full:
                self._tunnel.upstream_full()  # it was the client's early bytes
            return
        self._interims += 1
        if self._interims > INTERIM_LIMIT:
            self._fail(exchange, PROTOCOL, "the service sent too many 1xx responses")
            return
        if head.status != 100:
            exchange.inform(head)
        if rest and self.exchange is exchange:
            self.data_received(rest)

    def _begin_body(self, exchange: Exchange, head: ResponseHead, size: int, rest: bytes) -> None:
        now = monotonic()
        if head.status >= 400 and exchange.wants_another_try(head, now):
            self.close()
            exchange.try_again(head.status, now)
            return
        self._buffer = b""
        edits = exchange.plan.edits
        self._announced = head.trailers if edits is None else head.trailers - edits.dropped
        self._keep = head.keep_alive
        self._idle = head.idle
        if size == UNTIL_CLOSE:
            self._body = CloseBody()
            self._keep = False
        else:
            self._body = ChunkedBody(502) if size == CHUNKED else LengthBody(size)
        self.deadline = now + exchange.plan.patience.between_bytes
        self._receive_body(exchange, rest, head)

    def _receive_body(
        self, exchange: Exchange, data: bytes, head: ResponseHead | None = None
    ) -> None:
        """Relay what is body; `head` goes out with the first piece."""
        body = self._body
        assert body is not None
        now = monotonic()
        self.deadline = now + exchange.plan.patience.between_bytes
        try:
            payload = body.feed(data)
        except MessageError as error:
            if head is not None:
                self._body = None  # nothing was relayed yet: the client can be told
            self._fail(exchange, PROTOCOL, error.message)
            return
        done = body.done
        if done:
            self._body = None
            if isinstance(body, ChunkedBody):
                exchange.response_trailers = announced(body.trailers, self._announced)
            self._release(now, self._idle, keep=self._keep and not body.rest)
        if head is not None:
            exchange.respond(head, payload, now, done)
        elif payload or done:
            exchange.relay(payload, now, done=done)

    def eof_received(self) -> bool:
        self._eof = True
        exchange = self.exchange
        if self._tunnel is not None:
            return self._tunnel.upstream_eof()
        if exchange is None:
            self._closing = True
            self._pool.withdraw(self)
        elif self._turn == self._outbox.turn:
            self.abort()
            exchange.upstream_failed(CLOSED, stale=True)
        if self.full and self._transport is not None:
            # A plain close would wait for an upstream to read that has ended already.
            self._transport.abort()
        return False  # close; connection_lost says what it meant

    def connection_lost(self, exc: Exception | None) -> None:
        self._disconnected()
        exchange, self.exchange = self.exchange, None
        tunnel, self._tunnel = self._tunnel, None
        self._pool.sweep.connections.discard(self)
        self._pool.lost(self)
        if tunnel is not None:
            tunnel.upstream_lost()
        elif exchange is not None:
            self._end_with_connection(exchange, exc)

    def _end_with_connection(self, exchange: Exchange, exc: Exception | None) -> None:
        if isinstance(self._body, CloseBody) and exc is None:
            exchange.relay(b"", monotonic(), done=True)
        elif self._body is not None:
            exchange.truncated(TRUNCATED)
        elif self._buffer:
            exchange.upstream_failed(RESET)
        else:
            exchange.upstream_failed(RESET, stale=self.served > 1 and not self._interims)

    # -- flow control -----------------------------------------------------------------------

    def pause_writing(self) -> None:
        self.full = True
        self.sent = False
        if self._tunnel is not None:
            self._tunnel.upstream_full()
        elif self.exchange is not None:
            self._wrote(done=self._ended)
            self.exchange.upstream_full()

    def resume_writing(self) -> None:
        self.full = False
        if self._tunnel is not None:
            self._tunnel.upstream_drained()
        elif self.exchange is not None:
            self._wrote(done=self._ended)
            self.exchange.upstream_drained()

    def pause_reading(self) -> None:
        """The client does not keep up; it is its deadline that counts now."""
        super().pause_reading()
        self.deadline = NEVER

    def resume_reading(self) -> None:
        """The client keeps up again."""
        if not self._reading and self.exchange is not None:
            self.deadline = monotonic() + self.exchange.plan.patience.between_bytes
        super().resume_reading()

    # -- the end ----------------------------------------------------------------------------

    def expire(self, now: float) -> None:
        """The upstream has been silent for too long, or idle long enough."""
        self.deadline = NEVER
        exchange, self.exchange = self.exchange, None
        if exchange is None and not self._closing:
            self.close()
            return
        self.abort()
        if exchange is None:
            return
        if self._body is not None:
            exchange.truncated(TIMEOUT)
        else:
            exchange.upstream_failed(TIMEOUT)

    def close(self) -> None:
        """Close a connection that no exchange uses any more."""
        self.exchange = None
        self._pool.withdraw(self)
        if self._transport is not None:
            self._closing = True
            self._close_transport()
            self.deadline = monotonic() + _CLOSE_SECONDS

    def abort(self) -> None:
        """End the connection with a reset: its exchange was cancelled or has failed."""
        self.exchange = None
        self._reset()

    def _fail(self, exchange: Exchange, failure: Failure, message: str) -> None:
        streaming = self._body is not None
        self.abort()
        if streaming:
            exchange.truncated(failure)
        else:
            exchange.upstream_failed(failure, message)

    def _release(self, now: float, idle: float, *, keep: bool) -> None:
        """The response is complete: back to the pool, or closed."""
        self.exchange = None
        self._buffer = b""
        if keep and self.sent and not self._closing:
            self._pool.checkin(self, now, idle)
        else:
            self.close()


def _framed(exchange: Exchange, payload: bytes, *, done: bool) -> bytes:
    """`payload` as the request's framing wants it."""
    if exchange.plan.body != CHUNKED:
        return payload
    return encode(payload, done=done, trailers=exchange.request_trailers)
