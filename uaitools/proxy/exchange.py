"""One request and its answer: which endpoint, which connection, which retry, and the outcome.

The exchange stands between a client and an upstream and knows neither's wire format. Its client
is the raw listener's Downstream or the aiohttp handler; its upstream a pooled connection. Calls
come in the order of time: start, attach, body..., respond, relay..., end.
"""

from __future__ import annotations

import asyncio
from email.utils import formatdate
from time import monotonic
from typing import TYPE_CHECKING, Final

from uaitools.errors import ServiceError
from uaitools.proxy.cors import Preflight, cleaned
from uaitools.proxy.ends import CLIENT_GONE, COMPLETE, REFUSED, REJECTED, UNAVAILABLE
from uaitools.proxy.failure import OVERFLOW, STATUS, Failure, too_large
from uaitools.proxy.headers import error_answer
from uaitools.proxy.http1.fields import Field
from uaitools.proxy.http1.response import ResponseHead
from uaitools.proxy.ids import random_digits
from uaitools.proxy.tunnel import Tunnel
from uaitools.traffic.breaker import State
from uaitools.traffic.retry import backoff

if TYPE_CHECKING:
    from uaitools.proxy.access import AccessLog
    from uaitools.proxy.client import Client
    from uaitools.proxy.pool import Pool
    from uaitools.proxy.site import Plan
    from uaitools.proxy.upstream import Upstream
    from uaitools.traffic.endpoint import Endpoint

KEEP_LIMIT: Final = 64 * 1024  # bytes of a request body kept for a replay
GONE: Final = 499  # nginx's status for a client that left before its answer began
_RETRIED_STATUSES: Final = frozenset((502, 503, 504))
# A module constant: reading an enum's member costs two look-ups each time.
_HEALTHY: Final = State.HEALTHY


class Exchange:
    """One request on its way.

    status: of the answer, 0 before it begins. request_id: what X-Request-Id says, to the upstream
    and to the client. ids: 48 random hex digits, of which the first 32 are request id and trace id
    unless the request brought its own, the last 16 the span id. added: lines for the answer's head
    beside the upstream's own, each ended by CR LF. log: the access log, or None.

    Only where there is a log, for it: principal: who asks, by id, if known. notes: what hooks
    have to say, or None. endpoint: the last one's address, or None. attached, answered: when it had
    a connection and when its answer began, else 0. queued, connecting: seconds that it waited for
    the connection, without and for its making. sent: bytes of the answer's body. retries: times
    that it was sent again.
    """

    __slots__ = (
        "_body_done",
        "_client",
        "_ids",
        "_kept",
        "_pool",
        "_proceeded",
        "_received",
        "_replayed",
        "_reported",
        "_started",
        "_ticket",
        "_timer",
        "_tried",
        "_upstream",
        "added",
        "answered",
        "attached",
        "connecting",
        "endpoint",
        "log",
        "notes",
        "plan",
        "principal",
        "queued",
        "request_id",
        "request_trailers",
        "response_trailers",
        "retries",
        "sent",
        "status",
        "waiting_since",
    )

    def __init__(
        self, client: Client, plan: Plan, now: float, log: AccessLog | None = None
    ) -> None:
        self._client = client
        self.plan = plan
        self._started = now
        ids = self._ids = next(random_digits)
        self.request_id = plan.request_id or ids[:32]
        self.status = 0
        self.added = plan.added
        self._pool: Pool | None = None
        self._upstream: Upstream | None = None
        self._kept: bytes | None = b""
        self._body_done = True
        self._tried: tuple[Endpoint, ...] = ()
        self._replayed = self._reported = False
        self._timer: asyncio.TimerHandle | None = None
        self.request_trailers: tuple[Field, ...] = ()
        self.response_trailers: tuple[Field, ...] = ()
        self.waiting_since = 0.0
        self.log = log
        if log is not None:
            self.principal: str | None = None
            self.notes: dict[str, object] | None = None
            self.endpoint: str | None = None
            self.attached = self.answered = self.queued = self.connecting = 0.0
            self.sent = self.retries = self._received = 0

    def __repr__(self) -> str:
        return f"<Exchange {self.plan!r} status={self.status} pool={self._pool!r}>"

    @property
    def kept(self) -> int:
        """Bytes of the request's body that are kept for a replay or until there is a connection."""
        return len(self._kept) if self._kept is not None else 0

    @property
    def address(self) -> bytes:
        """The client's."""
        return self._client.address

    @property
    def at(self) -> str | None:
        """The address of the endpoint that has the request, or for which it waits."""
        return None if self._pool is None else self._pool.endpoint.address

    @property
    def trace_id(self) -> bytes:
        """32 hex digits, as in the upstream's traceparent."""
        return self.plan.trace or self._ids[:32]

    # -- the request ------------------------------------------------------------------------

    def start_with_body(
        self, payload: bytes, now: float, *, done: bool, trailers: tuple[Field, ...] = ()
    ) -> None:
        """Send a request that has a body on its way, with what there is of it."""
        self._kept = payload
        self._received = len(payload)
        self._body_done = done
        self._proceeded = False
        self.request_trailers = trailers
        limit = self.plan.max_body
        if limit is not None and self._received > limit and self.plan.refusal is None:
            self.reject(too_large(limit))
        else:
            self.start(now)

    def start(self, now: float) -> None:
        """Send the request on its way."""
        plan = self.plan
        if plan.refusal is not None:
            self._answer(plan.refusal, now)
            return
        plan.service.requests += 1
        self._dispatch(now)

    def _dispatch(self, now: float) -> None:
        """Choose an endpoint and get a connection to it, now or later."""
        service = self.plan.service
        endpoint = service.balancer.pick(now, self._tried)
        if endpoint is None:
            self._answer(service.unavailable(now), now, UNAVAILABLE)
            return
        breaker = endpoint.breaker
        self._ticket = breaker.ticket if breaker.state is _HEALTHY else breaker.admit(now)
        endpoint.in_flight += 1
        pool = self._pool = service.pools[endpoint]
        idle = pool.idle
        if idle:
            pool.reused += 1
            self.attach(idle.pop(), now)
        elif not pool.enqueue(self, now):
            service.note(OVERFLOW, endpoint)
            self._release_endpoint(now)
            self._answer(OVERFLOW.error(service.name), now, OVERFLOW.end)

    def attach(self, upstream: Upstream, now: float) -> None:
        """Take a connection and send the request on it."""
        self._upstream = upstream
        if self.log is not None:
            self.attached = now
            if now > self._started or not upstream.served:
                self._note_wait(upstream, now - self._started)
        plan = self.plan
        ids = self._ids
        # A join of nine costs half of what the same `%` formatting does.
        head = b"".join(
            (
                plan.prefix,
                self._client.address,
                b"\r\nX-Request-Id: ",
                self.request_id,
                b"\r\ntraceparent: 00-",
                plan.trace or ids[:32],
                b"-",
                ids[32:],
                plan.trace_flags,
            )
        )
        deadline = now + plan.service.policy.first_byte
        if plan.body == 0:
            upstream.begin(self, head, deadline)
            return
        kept = self._kept
        assert kept is not None
        upstream.begin_with_body(self, head, kept, deadline, done=self._body_done)
        if len(kept) > KEEP_LIMIT:
            self._kept = None
        if not self._body_done:
            if not self._proceeded:
                self._proceeded = True
                self._client.proceed()
            self._client.resume_body()

    def body(self, payload: bytes, *, done: bool, trailers: tuple[Field, ...] = ()) -> None:
        """More of the request's body from the client."""
        self._body_done = done
        self.request_trailers = trailers
        self._received += len(payload)
        limit = self.plan.max_body
        if limit is not None and self._received > limit:
            self.reject(too_large(limit))
            return
        waiting = self._upstream is None
        if self._kept is not None:
            if waiting or len(self._kept) + len(payload) <= KEEP_LIMIT:
                self._kept += payload
            else:
                self._kept = None
        if self._upstream is not None:
            self._upstream.send(payload, done=done)
        elif self._kept is not None and len(self._kept) > KEEP_LIMIT:
            self._client.pause_body()

    # -- the answer -------------------------------------------------------------------------

    def inform(self, head: ResponseHead) -> None:
        """An interim response from the upstream: the answer has begun, there is no retry now."""
        self._kept = None
        self._client.inform(head)

    def respond(self, head: ResponseHead, payload: bytes, now: float, done: bool) -> None:
        """The final head from the upstream, with the first piece of its body."""
        status = self.status = head.status
        pool = self._pool
        assert pool is not None
        endpoint = pool.endpoint
        if self.log is not None:
            self.answered = now
            self.sent = len(payload)
            self.endpoint = endpoint.address
        if done:
            if status < 500:
                endpoint.breaker.success(self._ticket, now)
            else:
                self._report_failure(STATUS, now)
            self._upstream = self._pool = None
            endpoint.in_flight -= 1
            self._observe(now, COMPLETE)
        elif endpoint.breaker.state is not _HEALTHY:
            # A probe's verdict must not wait for the end of a long stream.
            self._report_status(endpoint, now)
        if self.plan.cors is not None:
            head = cleaned(head)
        self._client.respond(self, head, payload, now, done)

    def relay(self, payload: bytes, now: float, *, done: bool) -> None:
        """More of the response's body from the upstream."""
        if self.log is not None:
            self.sent += len(payload)
        if done:
            self._upstream = None
            self._end(now, COMPLETE)
        self._client.relay(self, payload, now, done=done)

    def upgrade(self, upstream: Upstream, head: ResponseHead, rest: bytes) -> Tunnel:
        """The upstream has switched protocols: the exchange ends, a tunnel begins."""
        now = monotonic()
        self.status = 101
        self._upstream = None
        log, self.log = self.log, None  # a tunnel is logged at its end
        if log is not None:
            self.answered = now
            self.endpoint = self.at
        self._end(now, COMPLETE)
        tunnel = self._client.upgrade(self, head, upstream)
        if log is not None:
            self.log = log
            tunnel.tell(self)
        if rest:
            tunnel.from_upstream(rest)
        return tunnel

    # -- failures ---------------------------------------------------------------------------

    def wants_another_try(self, status: int, now: float) -> bool:
        """Whether to drop a response that says "not now" and ask another endpoint instead."""
        return status in _RETRIED_STATUSES and self._may_try_again(STATUS, now)

    def try_again(self, now: float) -> None:
        """The response that was not wanted is gone: count it and go elsewhere."""
        self._upstream = None
        self._report_failure(STATUS, now)
        self._release_endpoint(now)
        self._schedule_retry()

    def upstream_failed(
        self, failure: Failure, message: str | None = None, *, stale: bool = False
    ) -> None:
        """There was no response. stale: the fault is in the connection that was reused."""
        now = monotonic()
        self._upstream = None
        if stale and not self._replayed and self._may_repeat(failure):
            self._replay(now)
            return
        if stale or failure.ours:
            self._note(failure)  # no evidence against the endpoint
        else:
            self._report_failure(failure, now)
        again = self._may_try_again(failure, now)
        self._release_endpoint(now)
        if again:
            self._schedule_retry()
            return
        self._answer(failure.error(self.plan.service.name, message), now, failure.end)

    def truncated(self, failure: Failure) -> None:
        """The response broke off within its body."""
        now = monotonic()
        self._upstream = None
        self._report_failure(failure, now)
        self._end(now, failure.end)
        self._client.break_off()

    def reject(self, error: ServiceError) -> None:
        """The client's own request turned out bad while it was being sent on."""
        now = monotonic()
        self._drop(now)
        if self.status:
            self._observe(now, REJECTED)
            self._client.break_off()
        else:
            self._answer(error, now, REJECTED)

    def cancel(self) -> None:
        """The client is gone."""
        now = monotonic()
        self._drop(now)
        self.status = self.status or GONE
        self._observe(now, CLIENT_GONE)

    def _drop(self, now: float) -> None:
        """Let go of whatever the exchange holds or waits for."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.abort()
        elif self._pool is not None:
            self._pool.forget(self)
        self._release_endpoint(now)

    def _answer(self, answer: ServiceError | Preflight, now: float, end: bytes = REFUSED) -> None:
        """Answer the client ourselves."""
        self._drop(now)
        date = formatdate(usegmt=True)
        if isinstance(answer, Preflight):
            head, content, end = answer.head(date), answer.content, COMPLETE
        else:
            head, content = error_answer(answer, self.request_id.decode(), date)
        self.status = head.status
        if self.plan.is_head:
            content = b""
        if self.log is not None:
            self.sent = len(content)
        self._observe(now, end)
        self._client.respond(self, head, content, now, True)

    # -- retries ----------------------------------------------------------------------------

    def _may_repeat(self, failure: Failure) -> bool:
        """Whether the request can be sent again without being acted on twice."""
        return self._kept is not None and (failure.before_write or self.plan.head.replayable)

    def _may_try_again(self, failure: Failure, now: float) -> bool:
        service = self.plan.service
        if len(self._tried) + 1 >= service.policy.retry.tries or self._kept is None:
            return False
        if not failure.before_write and not (
            self.plan.head.replayable and self._has_alternative(now)
        ):
            return False
        return service.budget.take(now, service.requests)

    def _has_alternative(self, now: float) -> bool:
        """Whether another endpoint could take what this one failed."""
        tried = self._tried if self._pool is None else (*self._tried, self._pool.endpoint)
        return self.plan.service.has_other(tried, now)

    def _schedule_retry(self) -> None:
        delay = backoff(len(self._tried) - 1)
        self._timer = asyncio.get_running_loop().call_later(delay, self._retry)

    def _retry(self) -> None:
        self._timer = None
        self._dispatch(monotonic())
        if self._pool is not None:  # somebody takes it
            self.plan.service.retries += 1
            if self.log is not None:
                self.retries += 1

    def _replay(self, now: float) -> None:
        """Send again, free and once: the upstream closed an idle connection as we used it."""
        assert self._pool is not None
        self._replayed = True
        if self.log is not None:
            self.retries += 1
        self._pool.enqueue_for_new(self, now)

    # -- the outcome ------------------------------------------------------------------------

    def _report_status(self, endpoint: Endpoint, now: float) -> None:
        self._reported = True
        if self.status < 500:
            endpoint.breaker.success(self._ticket, now)
        else:
            self._report_failure(STATUS, now)

    def _report_failure(self, failure: Failure, now: float) -> None:
        if self._pool is None:
            return
        self._note(failure)
        self._reported = True
        endpoint = self._pool.endpoint
        endpoint.breaker.failure(
            self._ticket,
            now,
            connect=failure.connecting,
            last=not self.plan.service.has_other((endpoint,), now),
        )

    def _note(self, failure: Failure) -> None:
        if self._pool is not None:
            reason = self._pool.refused if failure.connecting else None
            self.plan.service.note(failure, self._pool.endpoint, reason)

    def _release_endpoint(self, now: float) -> None:
        pool, self._pool = self._pool, None
        if pool is None:
            return
        endpoint = pool.endpoint
        if self.log is not None:
            self.endpoint = endpoint.address
        endpoint.in_flight -= 1
        if self.status == 0:
            self._tried += (endpoint,)
        if not self._reported:
            endpoint.breaker.abandon(self._ticket, now)
        self._reported = False

    def _end(self, now: float, end: bytes) -> None:
        """The last byte of the answer is out, or a tunnel stands."""
        if self._pool is not None and not self._reported:
            self._report_status(self._pool.endpoint, now)
        self._release_endpoint(now)
        self._observe(now, end)

    def _observe(self, now: float, end: bytes) -> None:
        """Count a request that is over, and log it. end: why, see ends."""
        taken = now - self._started
        self.plan.series.observe(self.status, taken)
        if self.log is not None:
            self.log.exchange_ended(self, taken, self._received, end)

    def tunnel_ended(self, tunnel: Tunnel, end: bytes) -> None:
        """What the 101 began is over."""
        if self.log is not None:
            self.log.tunnel_ended(self, tunnel, monotonic() - self._started, end)

    def _note_wait(self, upstream: Upstream, waited: float) -> None:
        """For the log: what it took to have this connection."""
        # Of a connection that was made for others the making counts as far as it was waited for.
        self.connecting = 0.0 if upstream.served else min(upstream.took, waited)
        self.queued = waited - self.connecting

    # -- flow control -----------------------------------------------------------------------

    def client_full(self) -> None:
        """The client does not keep up with the response."""
        if self._upstream is not None:
            self._upstream.pause_reading()

    def client_drained(self) -> None:
        """The client keeps up again."""
        if self._upstream is not None:
            self._upstream.resume_reading()

    def upstream_full(self) -> None:
        """The upstream does not keep up with the request's body."""
        self._client.pause_body()

    def upstream_drained(self) -> None:
        """The upstream keeps up again."""
        self._client.resume_body()
