"""The tries of one exchange, one at a time: which endpoint has it, and what is learnt from it.

An endpoint's breaker, the observer of a policy that wants to know, and the service's counts are
each told once how a try went.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from uaitools.proxy.failure import STATUS, Failure
from uaitools.traffic.breaker import State

if TYPE_CHECKING:
    from uaitools.proxy.access.record import Record
    from uaitools.proxy.plan import Plan
    from uaitools.proxy.pool import Pool
    from uaitools.proxy.upstream import Upstream
    from uaitools.traffic.endpoint import Endpoint

# A module constant: reading an enum's member costs two look-ups each time.
HEALTHY: Final = State.HEALTHY


class Attempts:
    """The endpoints' side of an exchange.

    plan: what to do with the request. status: of the answer, 0 before it begins. body_done: the
    request's body is here completely. record: for the access log, None where there is none.
    """

    __slots__ = (
        "_pool",
        "_reported",
        "_sent",
        "_started",
        "_ticket",
        "_tried",
        "_upstream",
        "body_done",
        "plan",
        "record",
        "status",
    )

    _ticket: int  # the breaker's, for the try under way
    _sent: float  # when the request was out, of one that has a body or was tried again

    def __init__(self, plan: Plan, now: float, record: Record | None) -> None:
        self.plan = plan
        self.status = 0
        self.body_done = True
        self.record = record
        self._started = now
        self._pool: Pool | None = None
        self._upstream: Upstream | None = None
        self._tried: tuple[Endpoint, ...] = ()
        self._reported = False

    def __repr__(self) -> str:
        return f"<Attempts {self.plan!r} pool={self._pool!r}>"

    @property
    def at(self) -> str | None:
        """The address of the endpoint that has the request, or for which it waits."""
        return None if self._pool is None else self._pool.endpoint.address

    def _has_alternative(self, now: float) -> bool:
        """Whether another endpoint could take what this one failed."""
        tried = self._tried if self._pool is None else (*self._tried, self._pool.endpoint)
        return self.plan.service.has_other(tried, now)

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
        if failure.connecting:
            self._pool.unreached += 1
        if endpoint.observer is not None and not self.status:
            self._measure(endpoint, now, failed=True)
        endpoint.breaker.failure(
            self._ticket,
            now,
            connect=failure.connecting,
            last=not self.plan.service.has_other((endpoint,), now),
        )

    def _measure(self, endpoint: Endpoint, now: float, *, failed: bool) -> None:
        """Tell a policy that wants to know how long the endpoint took to answer this try.

        What the client took to send its body is not the endpoint's fault.
        """
        observer = endpoint.observer
        assert observer is not None
        if self.body_done:
            # Only what had a body or was tried again has a time of its own.
            sent = self._sent if self.plan.body or self._tried else self._started
            observer.observe(endpoint, now - sent, now, failed=failed)
        elif failed:
            observer.observe(endpoint, 0.0, now, failed=True)

    def _note(self, failure: Failure) -> None:
        pool = self._pool
        reason = pool.refused if pool is not None and failure.connecting else None
        self.plan.service.note(failure, pool.endpoint if pool is not None else None, reason)

    def _release_endpoint(self, now: float) -> None:
        pool, self._pool = self._pool, None
        if pool is None:
            return
        endpoint = pool.endpoint
        if self.record is not None:
            self.record.endpoint = endpoint.address
        endpoint.in_flight -= 1
        if self.status == 0:
            self._tried += (endpoint,)
        if not self._reported:
            endpoint.breaker.abandon(self._ticket, now)
        self._reported = False
