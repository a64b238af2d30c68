"""One endpoint of a service: an address, its weight, its health and what is going on there."""

from __future__ import annotations

from typing import Protocol

from uaitools.traffic.breaker import CircuitBreaker, State
from uaitools.traffic.checks import CheckRecord


class Observer(Protocol):
    """A policy that wants to know how long an endpoint takes to answer."""

    def observe(self, endpoint: Endpoint, seconds: float, now: float, *, failed: bool) -> None:
        """A call has been answered, or has failed, `seconds` after it was sent."""


class Endpoint:
    """An address that calls may be sent to.

    address: what /api/status shows, e.g. "127.0.0.1:9001" or "unix:/run/app.sock". weight: its
    share beside others. max_requests: how many may be in flight at once. backup: it gets calls
    only when no other can take them. last: a backup behind the other backups. check: the results of
    its active checks, or None when there are none. latency: the seconds to an answer as `observer`
    has last estimated them, at `latency_at`; 0 before the first.
    """

    __slots__ = (
        "address",
        "backup",
        "breaker",
        "check",
        "current",
        "in_flight",
        "last",
        "latency",
        "latency_at",
        "max_requests",
        "observer",
        "weight",
    )

    def __init__(
        self,
        address: str,
        weight: int,
        breaker: CircuitBreaker,
        max_requests: int,
        *,
        backup: bool = False,
    ) -> None:
        self.address = address
        self.weight = weight
        self.breaker = breaker
        self.max_requests = max_requests
        self.check: CheckRecord | None = None
        self.backup = backup
        self.last = False
        self.in_flight = 0
        self.observer: Observer | None = None  # told of each answer; most policies need none
        self.latency = 0.0  # kept here, so that it outlives the policy that a reload replaces
        self.latency_at = 0.0
        self.current = 0.0  # the smooth round robin's running credit

    def __repr__(self) -> str:
        return (
            f"<Endpoint {self.address} {self.breaker.state.value} weight={self.weight} "
            f"in_flight={self.in_flight}>"
        )

    def share(self, now: float) -> float:
        """The effective weight at `now`; 0 while ejected, probing or full."""
        if self.in_flight >= self.max_requests:
            return 0.0
        return self.weight * self.breaker.share(now)

    @property
    def healthy(self) -> bool:
        """Whether the endpoint may get its full share."""
        return self.breaker.state is State.HEALTHY
