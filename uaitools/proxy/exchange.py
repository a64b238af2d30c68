"""One request and its answer: which endpoint, which connection, which retry, and the outcome.

The exchange stands between a client and an upstream and knows neither's wire format. Its client
is the raw listener's Downstream or the aiohttp handler; its upstream a pooled connection. Calls
come in the order of time: start, attach, body..., respond, relay..., end.
"""

from __future__ import annotations

import asyncio
from asyncio import current_task
from collections.abc import Coroutine
from email.utils import formatdate
from time import monotonic, time
from typing import TYPE_CHECKING, Final

from uaitools.errors import ServiceError
from uaitools.log import get_logger
from uaitools.proxy.access.record import Record
from uaitools.proxy.attempts import HEALTHY, Attempts
from uaitools.proxy.ends import CLIENT_GONE, COMPLETE, REFUSED, REJECTED, UNAVAILABLE
from uaitools.proxy.failure import BROKEN, DEADLINE, OVERFLOW, STATUS, Failure, too_large
from uaitools.proxy.headers import error_answer
from uaitools.proxy.http1.fields import Field
from uaitools.proxy.http1.response import ResponseHead
from uaitools.proxy.http1.retry_after import retry_after
from uaitools.proxy.ids import random_digits
from uaitools.proxy.routing.cors import Preflight, cleaned
from uaitools.proxy.routing.reply import Reply
from uaitools.proxy.tunnel import Tunnel
from uaitools.tasks import spawn
from uaitools.traffic.retry import Repeatable, pause_before

if TYPE_CHECKING:
    from uaitools.proxy.access.log import AccessLog
    from uaitools.proxy.affinity import Affinity
    from uaitools.proxy.client import Client
    from uaitools.proxy.guards.interception import Interception
    from uaitools.proxy.plan import Plan
    from uaitools.proxy.upstream import Upstream
    from uaitools.traffic.concurrency import Slot
    from uaitools.traffic.endpoint import Endpoint

KEEP_LIMIT: Final = 64 * 1024  # bytes of a request body kept for a replay
_FOREVER: Final = float("inf")
GONE: Final = 499  # nginx's status for a client that left before its answer began

_log = get_logger(__name__)


class Exchange(Attempts):
    """One request on its way.

    status: of the answer, 0 before it begins. request_id: what X-Request-Id says, to the upstream
    and to the client. ids: 48 random hex digits, of which the first 32 are request id and trace id
    unless the request brought its own, the last 16 the span id. added: lines for the answer's head
    beside the upstream's own, each ended by CR LF. slot: of a limit of concurrent requests, held
    until the end. interception: by hooks of the route, while they run. notes: what hooks have to
    say in the access log. See Attempts for the others.
    """

    __slots__ = (
        "_asked",
        "_client",
        "_ids",
        "_kept",
        "_proceeded",
        "_received",
        "_replayed",
        "_suspension",
        "added",
        "interception",
        "notes",
        "request_id",
        "request_trailers",
        "response_trailers",
        "slot",
        "waiting_since",
    )

    def __init__(
        self, client: Client, plan: Plan, now: float, log: AccessLog | None = None
    ) -> None:
        super().__init__(plan, now, None if log is None else Record(log))
        self._client = client
        ids = self._ids = next(random_digits)
        self.request_id = plan.request_id or ids[:32]
        self.added = plan.added
        self._kept: bytes | None = b""
        self._received = 0  # bytes of the request's body
        self._replayed = False
        self._suspension: asyncio.TimerHandle | asyncio.Task[None] | None = None
        self.slot: Slot | None = None
        self.interception: Interception | None = None
        self.notes: dict[str, object] | None = None
        self.request_trailers: tuple[Field, ...] = ()
        self.response_trailers: tuple[Field, ...] = ()
        self.waiting_since = 0.0

    def __repr__(self) -> str:
        return f"<Exchange {self.plan!r} status={self.status} pool={self._pool!r}>"

    @property
    def kept_body(self) -> bytes:
        """What is kept of the request's body."""
        return self._kept or b""

    @property
    def kept(self) -> int:
        """Bytes of the request's body that are kept for a replay or until there is a connection."""
        return len(self._kept) if self._kept is not None else 0

    # -- the request ------------------------------------------------------------------------

    def start_with_body(
        self, payload: bytes, now: float, *, done: bool, trailers: tuple[Field, ...] = ()
    ) -> None:
        """Send a request that has a body on its way, with what there is of it."""
        self._sent = now
        self._kept = payload
        self._received = len(payload)
        self.body_done = done
        self._proceeded = False
        self.request_trailers = trailers
        limit = self.plan.max_body
        if limit is not None and self._received > limit and self.plan.answer is None:
            self.reject(too_large(limit))
        else:
            self.start(now)

    def start(self, now: float) -> None:
        """Send the request on its way."""
        plan = self.plan
        if plan.split is not None:
            plan, lines = plan.split.choose(self._client.address, self._ids, now)
            self.plan = plan
            self.added += lines
        if plan.deadlines is not None:
            plan.deadlines.add(self, self._started + plan.timeout)
        if plan.guard is not None:
            plan.guard.receive(self, now)
        elif plan.answer is not None:
            self._answer(plan.answer, now)
        else:
            plan.service.requests += 1
            self._dispatch(now)

    # -- what a guard may do ----------------------------------------------------------------

    @property
    def peer(self) -> bytes:
        """The address of the connection that the request came by."""
        return self._client.address

    @property
    def address(self) -> bytes:
        """Who sends the request: the client, or whom it speaks for if it is trusted."""
        caller = self.plan.caller
        return (caller.client if caller is not None else b"") or self._client.address

    def admit(self, now: float) -> None:
        """The guard and the hooks let the request pass."""
        if self.plan.answer is not None:
            self._answer(self.plan.answer, now)
            return
        self.plan.service.requests += 1
        self._dispatch(now)

    def refuse(self, error: ServiceError, now: float, end: bytes = REFUSED) -> None:
        """The guard or a hook answers the request with an error. end: why, for the log."""
        self._answer(error, now, end)

    def suspend(self, waiting: Coroutine[None, None, None]) -> None:
        """Let the guard wait for something and go on then; a client that leaves cancels it."""
        self._suspension = spawn(self._wait(waiting), name="guard")

    async def _wait(self, waiting: Coroutine[None, None, None]) -> None:
        try:
            await waiting
        except Exception:
            # Without an answer the client would wait for ever.
            _log.exception("a guard failed", request_id=self.request_id.decode())
            if self.status == 0:
                self._answer(BROKEN, monotonic())

    def _dispatch(self, now: float) -> None:
        """Choose an endpoint and get a connection to it, now or later."""
        service = self.plan.service
        if service.affinity is None:
            endpoint = service.balancer.pick(now, self._tried)
        else:
            endpoint = self._pick_tied(service.affinity, now)
        if endpoint is None:
            self._answer(service.unavailable(now), now, UNAVAILABLE)
            return
        breaker = endpoint.breaker
        self._ticket = breaker.ticket if breaker.state is HEALTHY else breaker.admit(now)
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

    def _pick_tied(self, affinity: Affinity, now: float) -> Endpoint | None:
        """Choose by the request's key or session, and name the choice in a cookie."""
        plan = self.plan
        balancer = plan.service.balancer
        endpoint = affinity.pick(balancer, plan, self._client.address, now, self._tried)
        self.added = affinity.mark(self.added, plan, endpoint)
        return endpoint

    def attach(self, upstream: Upstream, now: float) -> None:
        """Take a connection and send the request on it."""
        self._upstream = upstream
        if self.record is not None:
            self.record.attach(upstream, now - self._started, now)
        plan = self.plan
        ids = self._ids
        address = self._client.address
        if plan.deadlines is not None:
            left = max(1, int(plan.deadlines.left(self, now) * 1000))
            address = b"%b\r\nX-Request-Timeout: %d" % (address, left)
        # A join of nine costs half of what the same `%` formatting does.
        head = b"".join(
            (
                plan.prefix,
                address,
                b"\r\nX-Request-Id: ",
                self.request_id,
                b"\r\ntraceparent: 00-",
                plan.trace or ids[:32],
                b"-",
                ids[32:],
                plan.trace_flags,
            )
        )
        deadline = now + plan.patience.first_byte
        if plan.body == 0:
            upstream.begin(self, head, deadline)
            return
        kept = self._kept
        assert kept is not None
        upstream.begin_with_body(self, head, kept, deadline, done=self.body_done)
        if len(kept) > KEEP_LIMIT:
            self._kept = None
        if not self.body_done:
            self.proceed()

    def proceed(self) -> None:
        """Read the request's body, for the upstream or for a hook."""
        if not self._proceeded:
            self._proceeded = True
            self._client.proceed()
        self._client.resume_body()

    def body(self, payload: bytes, *, done: bool, trailers: tuple[Field, ...] = ()) -> None:
        """More of the request's body from the client."""
        self.body_done = done
        if done:
            self._sent = monotonic()
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
        interception = self.interception
        if self._upstream is not None:
            self._upstream.send(payload, done=done)
        elif interception is not None:
            if self.kept > interception.limit:
                self._client.pause_body()
            interception.body_arrived()
        elif self.kept > KEEP_LIMIT:
            self._client.pause_body()

    # -- the answer -------------------------------------------------------------------------

    def inform(self, head: ResponseHead) -> None:
        """An interim response from the upstream: the answer has begun, there is no retry now."""
        self._kept = None
        edits = self.plan.edits
        self._client.inform(head if edits is None else edits.interim(head))

    def respond(self, head: ResponseHead, payload: bytes, now: float, done: bool) -> None:
        """The final head from the upstream, with the first piece of its body."""
        if self.interception is not None:
            self._hold(self.interception, head, payload, done=done)
            return
        status = self.status = head.status
        pool = self._pool
        assert pool is not None
        endpoint = pool.endpoint
        if endpoint.observer is not None:
            self._measure(endpoint, now, failed=status >= 500)
        if self.record is not None:
            self.record.answer(endpoint.address, len(payload), now)
        if done:
            if status < 500:
                endpoint.breaker.success(self._ticket, now)
            else:
                self._report_failure(STATUS, now)
            self._upstream = self._pool = None
            endpoint.in_flight -= 1
            self._observe(now, COMPLETE)
        elif endpoint.breaker.state is not HEALTHY:
            # A probe's verdict must not wait for the end of a long stream.
            self._report_status(endpoint, now)
        if self.plan.cors is not None:
            head = cleaned(head)
        edits = self.plan.edits
        if edits is not None:
            head = edits.response(head)
        self._client.respond(self, head, payload, now, done)

    def _hold(
        self, interception: Interception, head: ResponseHead, payload: bytes, *, done: bool
    ) -> None:
        """Keep the answer back until the route's hooks have seen its head."""
        self._kept = None  # no retry now: a hook may have acted on the answer
        if done:
            self._upstream = None
        else:
            self.client_full()
        interception.respond(head, payload, done=done)

    def respond_after_hooks(
        self, head: ResponseHead, payload: bytes, now: float, *, done: bool
    ) -> None:
        """The answer goes on as the hooks have left it."""
        self.respond(head, payload, now, done)
        if not done and not self._client.full:
            self.client_drained()

    def relay(self, payload: bytes, now: float, *, done: bool) -> None:
        """More of the response's body from the upstream."""
        if self.record is not None:
            self.record.sent += len(payload)
        if done:
            self._upstream = None
            self._end(now, COMPLETE)
        self._client.relay(self, payload, now, done=done)

    def upgrade(self, upstream: Upstream, head: ResponseHead, rest: bytes) -> Tunnel:
        """The upstream has switched protocols: the exchange ends, a tunnel begins."""
        now = monotonic()
        self.status = 101
        self._upstream = None
        interception, self.interception = self.interception, None
        if interception is not None:
            interception.cancel()
        # A tunnel is logged at its end, and under way until then.
        record, self.record = self.record, None
        slot, self.slot = self.slot, None
        if record is not None:
            record.answer(self.at, 0, now)
        self._end(now, COMPLETE)
        edits = self.plan.edits
        if edits is not None:
            head = edits.response(head)
        tunnel = self._client.upgrade(self, head, upstream)
        if record is not None or slot is not None:
            self.record, self.slot = record, slot
            tunnel.tell(self)
        if rest:
            tunnel.from_upstream(rest)
        return tunnel

    # -- failures ---------------------------------------------------------------------------

    def wants_another_try(self, head: ResponseHead, now: float) -> bool:
        """Whether to drop a response that says "not now" and ask again, elsewhere or later."""
        retry = self.plan.service.policy.retry
        if head.status not in retry.statuses:  # as nearly all of them
            return False
        asked = retry_after(head.start, time()) if retry.respect_retry_after else None
        if not retry.refuses(head.status, asked, self._left(now)):
            return False
        self._asked = asked
        return self._may_try_again(STATUS, now, invited=asked is not None)

    def try_again(self, status: int, now: float) -> None:
        """The response that was not wanted is gone: count it and go elsewhere."""
        self._upstream = None
        if status >= 500:
            self._report_failure(STATUS, now)
        elif self._pool is not None:
            self._reported = True
            self._pool.endpoint.breaker.success(self._ticket, now)
        self._release_endpoint(now)
        self._schedule_retry(self._asked)

    def upstream_failed(
        self, failure: Failure, message: str | None = None, *, stale: bool = False
    ) -> None:
        """There was no response. stale: the fault is in the connection that was reused."""
        now = monotonic()
        self._upstream = None
        again = self._repeatable.may_repeat(unsent=failure.before_write)
        if stale and again and not self._replayed:
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

    def reroute(self, now: float) -> None:
        """The endpoint leaves and has seen nothing of the request: another takes it, for free."""
        pool, self._pool = self._pool, None
        assert pool is not None
        pool.endpoint.in_flight -= 1
        self._dispatch(now)

    def truncated(self, failure: Failure) -> None:
        """The response broke off within its body."""
        now = monotonic()
        self._upstream = None
        self._report_failure(failure, now)
        if self.status == 0:  # hooks still hold its head
            self._answer(failure.error(self.plan.service.name), now, failure.end)
            return
        self._end(now, failure.end)
        self._client.break_off()

    def reject(self, error: ServiceError) -> None:
        """The client's own request turned out bad while it was being sent on."""
        self._give_up(error, monotonic(), REJECTED)

    def overdue(self, now: float) -> None:
        """The time for the whole request is up, whatever it waits for."""
        plan, upstream = self.plan, self._upstream
        waited = upstream.waited(now) if upstream is not None and not self.status else 0.0
        # An endpoint is to blame that had its fair part of what the route grants. Clients do not
        # decide it: one that waits for a millisecond must not take endpoints out.
        if waited >= plan.patience.total / 2:
            self._report_failure(DEADLINE, now)
        else:
            self._note(DEADLINE)
        self._give_up(DEADLINE.error(plan.service.name), now, DEADLINE.end)

    def cancel(self) -> None:
        """The client is gone."""
        now = monotonic()
        if self._upstream is not None and self._pool is not None and not self.status:
            endpoint = self._pool.endpoint
            if endpoint.observer is not None and 0.0 < endpoint.latency < now - self._started:
                # Who hangs would never look slow if only answers counted.
                self._measure(endpoint, now, failed=False)
        self._drop(now)
        if self.interception is not None:
            self.interception.cancel()
        self.status = self.status or GONE
        self._observe(now, CLIENT_GONE)

    def _give_up(self, error: ServiceError, now: float, end: bytes) -> None:
        """Answer with `error`, or break off the answer that has begun."""
        self._drop(now)
        if self.status:
            self._observe(now, end)
            self._client.break_off()
        else:
            self._answer(error, now, end)

    def _drop(self, now: float) -> None:
        """Let go of whatever the exchange holds or waits for, but its hooks."""
        suspension, self._suspension = self._suspension, None
        if suspension is not None and suspension is not current_task():
            suspension.cancel()
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.abort()
        elif self._pool is not None:
            self._pool.forget(self)
        self._release_endpoint(now)

    def _answer(
        self, answer: ServiceError | Reply | Preflight, now: float, end: bytes = REFUSED
    ) -> None:
        """Answer the client without an upstream. end: why, for the log."""
        self._drop(now)
        date = formatdate(usegmt=True)
        if not isinstance(answer, ServiceError):
            self.answer(answer.head(date), answer.content, now, COMPLETE)
            return
        if self.interception is not None and self.interception.fail(answer, end):
            return  # a hook that waits for the answer is told, and may have one of its own
        client = self._client
        head, content = error_answer(
            answer, self.request_id.decode(), date, client.name, message_as=client.message_as
        )
        self.answer(head, content, now, end)

    def answer(self, head: ResponseHead, content: bytes, now: float, end: bytes) -> None:
        """Answer the client ourselves."""
        self._drop(now)
        affinity = self.plan.service.affinity
        if affinity is not None:
            self.added = affinity.mark(self.added, self.plan, None)  # nobody to come back to
        self.status = head.status
        if self.plan.is_head:
            content = b""
        if self.record is not None:
            self.record.sent = len(content)
        self._observe(now, end)
        self._client.respond(self, head, content, now, True)

    # -- retries ----------------------------------------------------------------------------

    @property
    def _repeatable(self) -> Repeatable:
        return Repeatable(kept=self._kept is not None, replayable=self.plan.head.replayable)

    def _may_try_again(self, failure: Failure, now: float, *, invited: bool = False) -> bool:
        """Whether to send again. invited: the endpoint has said when to ask it once more."""
        service = self.plan.service
        return service.policy.retry.repeats(
            len(self._tried) + 1,
            self._repeatable,
            unsent=failure.before_write,
            elsewhere=invited or self._has_alternative(now),
        ) and service.budget.take(now, service.requests)

    def _schedule_retry(self, asked: float | None = None) -> None:
        """Send again after a pause, of at least `asked` seconds."""
        delay = pause_before(len(self._tried) - 1, asked)
        self._suspension = asyncio.get_running_loop().call_later(delay, self._retry)

    def _retry(self) -> None:
        self._suspension = None
        now = self._sent = monotonic()
        if self._left(now) <= 0:
            self.overdue(now)
            return
        self._dispatch(now)
        if self._pool is not None:  # somebody takes it
            self.plan.service.retries += 1
            if self.record is not None:
                self.record.retries += 1

    def _replay(self, now: float) -> None:
        """Send again, free and once: the upstream closed an idle connection as we used it."""
        assert self._pool is not None
        self._replayed = True
        if self.record is not None:
            self.record.retries += 1
        self._pool.enqueue_for_new(self, now)

    # -- the outcome ------------------------------------------------------------------------

    def _end(self, now: float, end: bytes) -> None:
        """The last byte of the answer is out, or a tunnel stands."""
        if self._pool is not None and not self._reported:
            self._report_status(self._pool.endpoint, now)
        self._release_endpoint(now)
        self._observe(now, end)

    def _observe(self, now: float, end: bytes) -> None:
        """The exchange is over: count it, log it, give back what its guard has lent it.

        end: why, see ends.
        """
        plan = self.plan
        if plan.deadlines is not None:
            plan.deadlines.discard(self)
        taken = now - self._started
        plan.series.observe(self.status, taken)
        if self.slot is not None:
            self.slot.release()
            self.slot = None
        if self.record is not None:
            self.record.end(self, taken, self._received, end)

    def _left(self, now: float) -> float:
        """Seconds until the deadline for the whole request."""
        deadlines = self.plan.deadlines
        return _FOREVER if deadlines is None else deadlines.left(self, now)

    @property
    def principal(self) -> str | None:
        """Who asks, by id, if that is known."""
        caller = self.plan.caller
        return caller.identity.principal.id if caller is not None and caller.identity.key else None

    @property
    def trace_id(self) -> bytes:
        """32 hex digits, as in the upstream's traceparent."""
        return self.plan.trace or self._ids[:32]

    def tunnel_ended(self, tunnel: Tunnel, end: bytes) -> None:
        """What the 101 began is over."""
        if self.slot is not None:
            self.slot.release()
        if self.record is not None:
            self.record.end_tunnel(self, tunnel, monotonic() - self._started, end)

    # -- flow control -----------------------------------------------------------------------

    def client_full(self) -> None:
        """The client does not keep up with the response."""
        if self._upstream is not None:
            self._upstream.pause_reading()

    def client_drained(self) -> None:
        """The client keeps up again."""
        if self._upstream is not None and self.interception is None:
            self._upstream.resume_reading()

    def upstream_full(self) -> None:
        """The upstream does not keep up with the request's body."""
        self._client.pause_body()

    def upstream_drained(self) -> None:
        """The upstream keeps up again."""
        self._client.resume_body()
