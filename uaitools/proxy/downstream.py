"""One client connection: requests parsed in order, answers framed for the client's version.

The protocol of a client's transport from accept to close, for proxied and native requests alike.
It owns the client's wire: where a request ends, how an answer is framed, when to read and when
the connection is over. What happens to a request is the exchange's business.
"""

from __future__ import annotations

import asyncio
import enum
from dataclasses import dataclass
from email.utils import formatdate
from time import monotonic
from typing import TYPE_CHECKING, Final

from uaitools.errors import ServiceError
from uaitools.proxy.connection import Connection
from uaitools.proxy.ends import IDLE
from uaitools.proxy.exchange import Exchange
from uaitools.proxy.headers import CONTINUE, announced, error_answer, framing, switching
from uaitools.proxy.http1.body import CHUNKED, ChunkedBody, LengthBody, encode
from uaitools.proxy.http1.grammar import MessageError
from uaitools.proxy.http1.request import check_partial_head
from uaitools.proxy.http1.response import ResponseHead
from uaitools.proxy.sweep import NEVER
from uaitools.proxy.tls.identity import identity
from uaitools.proxy.tunnel import Tunnel

if TYPE_CHECKING:
    from uaitools.proxy.gateway import Gateway
    from uaitools.proxy.http1.fields import Field
    from uaitools.proxy.upstream import Upstream

PIPELINE_BYTES: Final = 64 * 1024  # kept of requests that wait for their turn; then we read no more
PIPELINE_TURN: Final = 16  # pipelined requests begun in one turn of the loop
DISCARD_LIMIT: Final = 256 * 1024  # of a body that is read only to keep the connection
_LINGER_SECONDS: Final = 5.0


class Phase(enum.IntEnum):
    """What the next bytes from the client are."""

    HEAD = 0  # a request head
    BODY = 1  # the body of the request under way
    WAIT = 2  # a later request; it has to wait for the one under way
    DISCARD = 3  # the rest of a body whose request has been answered
    LINGER = 4  # nothing of interest: we have answered for the last time
    TUNNEL = 5  # the tunnel's


# As plain integers: comparing enum members costs three times as much.
_HEAD, _BODY, _WAIT, _DISCARD, _LINGER, _TUNNEL = (int(phase) for phase in Phase)


@dataclass(frozen=True, slots=True)
class ClientPolicy:
    """Patience with clients in seconds and bounds; the fields of config.ClientLimits.

    Read twice a request: a pydantic model's attributes cost three times as much.
    """

    header: float
    body: float
    idle: float
    write: float
    tunnel: float
    half_close: bool
    connections: int
    buffer: int


class Downstream(Connection):
    """The protocol of one client connection."""

    __slots__ = (
        "_body",
        "_buffer",
        "_certificate",
        "_chunked",
        "_discarded",
        "_exchange",
        "_gateway",
        "_keep",
        "_phase",
        "_pumping",
        "_trusted",
        "_tunnel",
        "_unsent",
        "address",
    )

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(gateway.outbox)
        self._gateway = gateway
        self._phase: int = _HEAD
        self._exchange: Exchange | None = None
        self._tunnel: Tunnel | None = None
        self._body: LengthBody | ChunkedBody | None = None
        self._buffer = b""
        self._discarded = 0
        self._certificate = b""  # lines about the client's certificate, for the upstream
        self._chunked = False
        self._keep = True
        self._pumping = False
        self._trusted = False
        self._unsent = 0  # bytes that the client had not taken when its deadline was set
        self.address = b""

    def __repr__(self) -> str:
        return f"<Downstream {self.address.decode()} {Phase(self._phase).name.lower()}>"

    @property
    def name(self) -> str:
        """See Client."""
        return self._gateway.name

    @property
    def message_as(self) -> str:
        """See Client."""
        return self._gateway.message_as

    @property
    def exchange(self) -> Exchange | None:
        """The request under way, if any."""
        return self._exchange

    @property
    def phase(self) -> Phase:
        """What the next bytes are."""
        return Phase(self._phase)

    # -- connection -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._connected(transport)
        gateway = self._gateway
        self.recognise()
        self._certificate = identity(transport.get_extra_info("ssl_object"))
        self._rearm(monotonic())
        if not gateway.accepted(self):
            self._refuse(ServiceError(503, "too many connections; try again", "proxy"))

    def recognise(self) -> None:
        """Learn the peer's address and whether it is a trusted proxy; again after a reload."""
        peer = self._transport.get_extra_info("peername") if self._transport is not None else None
        if peer:  # '' for a unix socket
            self.address, self._trusted = self._gateway.peer(peer[0])

    def connection_lost(self, exc: Exception | None) -> None:
        self._disconnected()
        exchange, self._exchange = self._exchange, None
        tunnel, self._tunnel = self._tunnel, None
        self._buffer = b""
        self._phase = _LINGER
        self._gateway.departed(self)
        if tunnel is not None:
            tunnel.client_lost()
        elif exchange is not None:
            exchange.cancel()

    def eof_received(self) -> bool:
        """The client sends no more: it is gone, or with half_close only waits for its answers."""
        self._outbox.flush()  # a close would drop what is not transmitted
        self._eof = True
        if self._phase == _TUNNEL and self._tunnel is not None:
            return self._tunnel.client_eof()
        if self._phase == _HEAD:
            # Answers are complete; they only have to be read.
            return self.full or b"\r\n\r\n" in self._buffer  # requests that wait for their turn
        if not self._gateway.client.half_close:
            return False
        if self._phase == _WAIT and not self._buffer:
            self._keep = False
        return self._phase == _WAIT

    # -- requests ---------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        phase = self._phase
        if phase == _HEAD:
            if self._buffer or self.full:
                self._continue_head(data)
            else:
                self._begin(data)
        elif phase == _BODY:
            self._receive_body(data)
        elif phase == _WAIT:
            self._buffer += data
            if len(self._buffer) > PIPELINE_BYTES:
                self.pause_reading()
        elif phase == _DISCARD:
            self._discard(data)
        elif phase == _LINGER:
            self._discarded += len(data)
            if self._discarded > DISCARD_LIMIT:
                self.cut_off()
        elif self._tunnel is not None:
            self._tunnel.from_client(data)

    def _begin(self, data: bytes) -> None:
        """Begin the request at the start of `data`, or keep what there is of its head."""
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self._receive_partial(data)
            return
        site = self._gateway.site
        raw = data[:end]
        now = monotonic()
        plan = (site.trusted_plans if self._trusted else site.plans).young.get(raw)
        if plan is None or plan.expires < now or self._certificate:
            try:
                plan = site.plan(
                    raw.removeprefix(b"\r\n"),
                    now,
                    trusted=self._trusted,
                    certificate=self._certificate,
                )
            except MessageError as error:
                self._refuse(error)
                return
        self.deadline = NEVER
        exchange = self._exchange = Exchange(self, plan, now, site.access)
        self._keep = plan.keep_alive
        end += 4
        if plan.body == 0:
            self._phase = _WAIT
            self._buffer = data[end:] if end < len(data) else b""
            exchange.start(now)
        else:
            self._buffer = b""
            self._begin_body(exchange, data[end:], now)

    def _continue_head(self, data: bytes) -> None:
        """More of a head, or a request from a client that has not read its last answer yet."""
        self._buffer += data
        self._pump()
        if len(self._buffer) > PIPELINE_BYTES:
            self.pause_reading()

    def _receive_partial(self, data: bytes) -> None:
        first = not self._buffer
        self._buffer = data
        if first:
            self._rearm(monotonic())
        if self._eof:
            self._close()
            return
        try:
            check_partial_head(data)
        except MessageError as error:
            self._refuse(error)

    def _begin_body(self, exchange: Exchange, data: bytes, now: float) -> None:
        size = exchange.plan.body
        body = self._body = ChunkedBody(400) if size == CHUNKED else LengthBody(size)
        self._phase = _BODY
        try:
            payload = body.feed(data) if data else b""
        except MessageError as error:
            self._keep = False
            exchange.reject(error)
            return
        trailers: tuple[Field, ...] = ()
        if body.done:
            self._end_body(body)
            trailers = self._announced(exchange, body)
        elif not exchange.plan.head.controls.expects_continue:
            self._rearm(now)
        exchange.start_with_body(payload, now, done=body.done, trailers=trailers)

    def _receive_body(self, data: bytes) -> None:
        exchange, body = self._exchange, self._body
        assert exchange is not None
        assert body is not None
        try:
            payload = body.feed(data)
        except MessageError as error:
            self._keep = False
            exchange.reject(error)
            return
        if body.done:
            self._end_body(body)
        if not self.full:
            self._rearm(monotonic())
        if body.done:
            exchange.body(payload, done=True, trailers=self._announced(exchange, body))
        elif payload:
            exchange.body(payload, done=False)

    def _end_body(self, body: LengthBody | ChunkedBody) -> None:
        self._phase = _WAIT
        self._body = None
        self._buffer = body.rest

    @staticmethod
    def _announced(exchange: Exchange, body: LengthBody | ChunkedBody) -> tuple[Field, ...]:
        if isinstance(body, ChunkedBody) and body.trailers:
            return announced(body.trailers, exchange.plan.head.controls.trailers)
        return ()

    def _discard(self, data: bytes) -> None:
        """Read the rest of a body only to find the next request behind it."""
        body = self._body
        assert body is not None
        self._discarded += len(data)
        try:
            body.feed(data)
        except MessageError:
            self._close()
            return
        if body.done:
            self._end_body(body)
            self._await_request(monotonic())
        elif self._discarded > DISCARD_LIMIT:
            self._linger(monotonic())

    def _pump(self) -> None:
        """Begin requests that came pipelined, as long as each is answered at once."""
        if self._pumping:
            return
        self._pumping = True
        try:
            for _ in range(PIPELINE_TURN):
                if self._phase != _HEAD or not self._buffer or self.full:
                    return
                data, before = self._buffer, len(self._buffer)
                self._begin(data)
                if self._phase == _HEAD and len(self._buffer) == before:
                    return  # the head is not complete yet
        finally:
            self._pumping = False
        # Others have their turn before a client that sent a hundred requests at once goes on.
        asyncio.get_running_loop().call_soon(self._pump)

    # -- answers ----------------------------------------------------------------------------

    def respond(
        self, exchange: Exchange, head: ResponseHead, payload: bytes, now: float, done: bool
    ) -> None:
        """Send a final head with the first piece of its body."""
        if (
            self._keep
            and not self._eof
            and self._phase == _WAIT
            and head.body >= 0
            and not self._gateway.draining
            and exchange.plan.head.minor
        ):
            self._chunked = False
            lines = head.length
        else:
            lines = self._framing(exchange, head, done=done)
            if self._chunked:
                payload = encode(payload, done=done, trailers=self._trailers(exchange))
        self.write(
            b"".join(
                (
                    head.start,
                    lines,
                    exchange.added,
                    b"X-Request-Id: ",
                    exchange.request_id,
                    b"\r\n\r\n",
                    payload,
                )
            )
        )
        if done:
            self._finish(now)
        elif self.full:
            exchange.client_full()  # since before there was an upstream to pause

    def relay(self, exchange: Exchange, payload: bytes, now: float, *, done: bool) -> None:
        """Send more of the body."""
        if self._chunked:
            payload = encode(payload, done=done, trailers=self._trailers(exchange))
        if payload:
            self.write(payload)
        if done:
            self._finish(now)

    def inform(self, head: ResponseHead) -> None:
        """Send a 1xx response, which HTTP/1.0 does not know."""
        exchange = self._exchange
        if exchange is not None and exchange.plan.head.minor:
            self.write(head.start + b"\r\n")

    def proceed(self) -> None:
        """Begin to read the request's body; answers `Expect: 100-continue`."""
        exchange = self._exchange
        if exchange is not None and exchange.plan.head.controls.expects_continue:
            self.write(CONTINUE)
            self._rearm(monotonic())

    def upgrade(self, exchange: Exchange, head: ResponseHead, upstream: Upstream) -> Tunnel:
        """Send the 101 and become the client's side of a tunnel."""
        tunnel = self._tunnel = Tunnel(self, upstream, self._gateway.client.tunnel)
        self._exchange = None
        self._phase = _TUNNEL
        self.write(switching(head, exchange.request_id, exchange.added))
        self._rearm(monotonic())
        early, self._buffer = self._buffer, b""
        if early:
            tunnel.from_client(early)
        if self.full:
            tunnel.client_full()
        if self._eof:
            tunnel.client_eof()
        self.resume_reading()
        return tunnel

    def _framing(self, exchange: Exchange, head: ResponseHead, *, done: bool) -> bytes:
        """The framing and Connection lines; decides whether the connection stays open."""
        plan = exchange.plan
        keep = self._keep and not self._gateway.draining and not (self._eof and not self._buffer)
        if self._phase == _BODY:
            # RFC 9110 10.1.1: who waits for a 100 may or may not send the body after this.
            waits = plan.head.controls.expects_continue
            keep = keep and not waits and (not done or self._can_discard())
        lines, self._chunked, self._keep = framing(
            head, plan.head, bodiless=plan.is_head, keep=keep
        )
        return lines

    @staticmethod
    def _trailers(exchange: Exchange) -> tuple[Field, ...]:
        if not exchange.plan.head.controls.accepts_trailers:
            return ()
        return exchange.response_trailers

    def _finish(self, now: float) -> None:
        """The answer is written: on to the next request, or to the end."""
        self._exchange = None
        if self._keep and self._phase == _WAIT and self._reading and not self.full:
            # The common case of _await_request, without the call.
            self._phase = _HEAD
            self.deadline = now + self._gateway.client.idle
            if self._buffer:
                self._await_request(now)
            return
        if self._phase == _BODY and self._keep:
            self._phase = _DISCARD
            self._discarded = 0
            self.resume_reading()
            self._rearm(now)
        elif self._keep:
            self._await_request(now)
        elif self._phase == _BODY or self._buffer:
            self._linger(now)
        else:
            self._close()

    def _await_request(self, now: float) -> None:
        """The connection is ready for the next request, which may be here already."""
        if self._eof and not self._buffer:
            self._close()
            return
        self._phase = _HEAD
        self._rearm(now)
        if len(self._buffer) <= PIPELINE_BYTES:
            self.resume_reading()
        if self._buffer and not self._pumping:
            self._pump()

    def _can_discard(self) -> bool:
        """Whether the rest of the request's body is known to be small enough to read away."""
        return isinstance(self._body, LengthBody) and self._body.remaining <= DISCARD_LIMIT

    def _refuse(self, error: ServiceError) -> None:
        """Answer bytes that are no request, and end the connection."""
        if isinstance(error, MessageError):
            self._gateway.malformed(error.code)
        request_id = self._gateway.new_request_id()
        access = self._gateway.site.access
        if access is not None:
            access.refused(error, request_id, self.address)
        head, content = error_answer(
            error, request_id, formatdate(usegmt=True), self.name, message_as=self.message_as
        )
        end = b"Connection: close\r\nX-Request-Id: %b\r\n\r\n" % request_id.encode()
        self.write(b"".join((head.start, head.length, self._gateway.site.added, end, content)))
        self._linger(monotonic())

    # -- waiting ----------------------------------------------------------------------------

    def _rearm(self, now: float) -> None:
        """Set the deadline for what this connection waits for from `now` on."""
        client = self._gateway.client
        phase = self._phase
        if self.full:
            self._unsent = self.unwritten()
            self.deadline = now + client.write
        elif phase == _HEAD:
            self.deadline = now + (client.header if self._buffer else client.idle)
        elif phase == _DISCARD or (phase == _BODY and self._reading):
            self.deadline = now + client.body
        elif phase == _TUNNEL and self._tunnel is not None:
            self.deadline = now + self._tunnel.patience
        elif phase != _LINGER:
            self.deadline = NEVER  # the upstream has one

    def expire(self, now: float) -> None:
        """A deadline has passed; what it means depends on what we waited for."""
        self.deadline = NEVER
        phase = self._phase
        if self.full or phase in (_LINGER, _DISCARD):
            self._expire_writing(now)
        elif phase == _TUNNEL:
            self._close()
            if self._tunnel is not None:
                self._tunnel.client_lost(IDLE)
        elif phase == _BODY and self._exchange is not None:
            self._keep = False
            self._exchange.reject(MessageError(408, "the request body did not arrive in time"))
        elif phase == _HEAD and self._buffer:
            self._refuse(MessageError(408, "the request head did not arrive in time"))
        else:
            self._close()

    def _expire_writing(self, now: float) -> None:
        """The client has not taken its answer in time: cut it off unless it has taken some."""
        unsent = self.unwritten()
        if unsent >= self._unsent:
            self.cut_off()
        else:
            self._unsent = unsent
            self.deadline = now + self._gateway.client.write

    def buffered(self) -> int:
        """Bytes kept for this client: not taken by its kernel, or not sent on yet."""
        kept = len(self._buffer) + (self._exchange.kept if self._exchange is not None else 0)
        return kept + self.unwritten()

    # -- the end ----------------------------------------------------------------------------

    def close_if_idle(self) -> None:
        """The gateway drains: close now if nothing is under way, else after the answer."""
        if self._phase == _HEAD and not self._buffer and not self.full:
            self._close()

    def break_off(self) -> None:
        """The exchange has ended within its answer, which must not look whole."""
        self._exchange = None
        self.cut_off()

    def cut_off(self) -> None:
        """End the connection at once, whatever is under way."""
        self._phase = _LINGER
        self._outbox.flush()
        self._reset()

    def _linger(self, now: float) -> None:
        """Send FIN and read on for a while: a close with unread bytes would reset the answer."""
        self._phase = _LINGER
        self._discarded = 0
        self._buffer = b""
        self._body = None
        if self._transport is None:
            return
        if self._eof:
            self._close()
            return
        self.write_eof()
        self.resume_reading()
        self._unsent = self.unwritten()
        self.deadline = now + _LINGER_SECONDS

    def _close(self) -> None:
        self._phase = _LINGER
        self._buffer = b""
        if self._transport is not None:
            self._close_transport()
            self._unsent = self.unwritten()
            self.deadline = monotonic() + self._gateway.client.write

    # -- flow control -----------------------------------------------------------------------

    def pause_writing(self) -> None:
        self.full = True
        self._rearm(monotonic())
        if self._tunnel is not None:
            self._tunnel.client_full()
        elif self._exchange is not None:
            self._exchange.client_full()

    def resume_writing(self) -> None:
        self.full = False
        self._rearm(monotonic())
        if self._tunnel is not None:
            self._tunnel.client_drained()
        elif self._exchange is not None:
            self._exchange.client_drained()
        elif self._phase == _HEAD:
            self._await_request(monotonic())

    def pause_body(self) -> None:
        """The upstream does not keep up with the body: it is its deadline that counts now."""
        if self._phase == _BODY:
            self.pause_reading()
            if not self.full:
                self._rearm(monotonic())

    def resume_body(self) -> None:
        """The upstream keeps up again."""
        if self._phase == _BODY and not self._reading:
            self.resume_reading()
            if not self.full:
                self._rearm(monotonic())

    # -- as one side of a tunnel ------------------------------------------------------------

    def close(self) -> None:
        """The tunnel is over."""
        self._tunnel = None
        self._close()

    def tunnel_active(self) -> None:
        """Bytes went through the tunnel."""
        if not self.full:
            self._rearm(monotonic())

    def tunnel_ended(self) -> None:
        """Both sides of the tunnel are closed."""
        self._tunnel = None
