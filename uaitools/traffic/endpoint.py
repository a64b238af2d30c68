"""One endpoint of a service: an address, its weight, its health and what is going on there."""

from __future__ import annotations

from uaitools.traffic.breaker import CircuitBreaker, State
from uaitools.traffic.checks import CheckRecord


class Endpoint:
    """An address that calls may be sent to.

    address: what /api/status shows, e.g. "127.0.0.1:9001" or "unix:/run/app.sock". weight: its
    share beside others. max_requests: how many may be in flight at once. check: the results of
    its active checks, or None when there are none.
    """

    __slots__ = ("address", "breaker", "check", "current", "in_flight", "max_requests", "weight")

    def __init__(
        self, address: str, weight: int, breaker: CircuitBreaker, max_requests: int
    ) -> None:
        self.address = address
        self.weight = weight
        self.breaker = breaker
        self.max_requests = max_requests
        self.check: CheckRecord | None = None
        self.in_flight = 0
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
