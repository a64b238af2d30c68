"""A proxied service at run time: its endpoints with their pools, its balancer and its budget."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from uaitools.errors import ServiceError
from uaitools.proxy.failure import Failure
from uaitools.proxy.healthcheck import HealthCheck
from uaitools.proxy.pool import Pool
from uaitools.traffic.balancing import Balancer, make_balancer
from uaitools.traffic.balancing.ewma import DECAY
from uaitools.traffic.breaker import OUT, BreakerPolicy, State
from uaitools.traffic.concurrency import Concurrency
from uaitools.traffic.endpoint import Endpoint
from uaitools.traffic.retry import RetryBudget, RetryPolicy

if TYPE_CHECKING:
    from uaitools.proxy.affinity import Affinity


@dataclass(frozen=True, slots=True)
class ServicePolicy:
    """How a service is called: balancing, patience in seconds, bounds an endpoint, failures.

    concurrency: requests in flight to all endpoints together, None for what those bear. decay:
    seconds, see traffic.balancing.ewma.
    """

    balance: str = "round_robin"
    decay: float = DECAY
    connect: float = 3.0
    first_byte: float = 60.0
    between_bytes: float = 60.0
    connections: int = 128
    pending: int = 1024
    requests: int = 1024
    concurrency: int | None = None
    breaker: BreakerPolicy = field(default_factory=BreakerPolicy)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    check: HealthCheck | None = None


class Service:
    """One upstream service. Endpoints come and go; counts and the budget stay."""

    __slots__ = (
        "_balancing",
        "affinity",
        "balancer",
        "budget",
        "concurrency",
        "errors",
        "hint",
        "last_error",
        "name",
        "policy",
        "pools",
        "requests",
        "retries",
    )

    def __init__(self, name: str, policy: ServicePolicy, now: float) -> None:
        self.name = name
        self.policy = policy
        self.pools: dict[Endpoint, Pool] = {}
        self.balancer: Balancer = make_balancer(policy.balance, policy.decay, ())
        self._balancing = (policy.balance, policy.decay)  # what the balancer was made by
        self.affinity: Affinity | None = None  # most services have neither hashing nor sessions
        self.budget = RetryBudget(policy.retry.budget, now)
        self.concurrency: Concurrency | None = None
        self.requests = 0
        self.retries = 0
        self.errors: dict[str, int] = {}
        self.last_error: str | None = None
        self.hint = ""  # what an operator has to do when there is no endpoint at all
        self.adopt(policy)

    def __repr__(self) -> str:
        return f"<Service {self.name} endpoints={len(self.pools)} requests={self.requests}>"

    @property
    def endpoints(self) -> Sequence[Endpoint]:
        """The endpoints in force."""
        return tuple(self.pools)

    def adopt(self, policy: ServicePolicy) -> None:
        """Call the service by `policy` from now on; what is under way stays counted."""
        self.policy = policy
        self.budget.ratio = policy.retry.budget
        if policy.concurrency is None:
            self.concurrency = None
        elif self.concurrency is None:
            self.concurrency = Concurrency(policy.concurrency)
        else:
            self.concurrency.limit = policy.concurrency

    def busy(self) -> ServiceError:
        """The error when as many requests are under way as the service may have in all."""
        message = "the service has its limit of concurrent requests; try again"
        return ServiceError(503, message, self.name, retry_after=1)

    def replace(self, pools: Mapping[Endpoint, Pool]) -> list[Pool]:
        """Swap in another set of endpoints, and retire the pools that are no longer in it.

        Returns those of them that somebody still waits for, because there was nowhere else to go.

        With the same ones and the same policy the balancer goes on where it was.
        """
        before = self.endpoints
        retired = [pool for endpoint, pool in self.pools.items() if endpoint not in pools]
        self.pools = dict(pools)
        chosen = (self.policy.balance, self.policy.decay)
        if before == self.endpoints and chosen == self._balancing:
            self.balancer.refresh()
        else:
            self._balancing = chosen
            self.balancer = make_balancer(*chosen, self.endpoints)
        for pool in retired:
            pool.retire()
        return [pool for pool in retired if pool.waited_for]

    def has_other(self, tried: Collection[Endpoint], now: float) -> bool:
        """Whether an endpoint that is not one of `tried` may be sent to."""
        return any(e not in tried and e.breaker.share(now) > 0 for e in self.pools)

    def note(self, failure: Failure, endpoint: Endpoint | None, reason: str | None = None) -> None:
        """Count a failure for metrics and /api/status. reason: what the system said, if it did."""
        self.errors[failure.label] = self.errors.get(failure.label, 0) + 1
        because = f": {reason}" if reason else ""
        where = f" at {endpoint.address}" if endpoint is not None else ""
        self.last_error = f"{failure.label}{where}{because}"

    def unavailable(self, now: float) -> ServiceError:
        """The error when no endpoint can take a request, with when to come back."""
        if not self.pools:
            return ServiceError(503, f"the service has no endpoint; {self.hint}", self.name)
        drained = sum(e.breaker.state is State.DRAINED for e in self.pools)
        if drained == len(self.pools):
            return ServiceError(503, "every endpoint is drained by the operator", self.name)
        waits = [
            endpoint.breaker.until - now for endpoint in self.pools if endpoint.breaker.state in OUT
        ]
        if len(waits) < len(self.pools) - drained:
            return ServiceError(
                503, "every endpoint has its limit of requests in flight", self.name, retry_after=1
            )
        return ServiceError(
            503,
            "every endpoint is ejected after failures; see /api/status",
            self.name,
            retry_after=max(0.0, min(*waits, self._longest_wait)),
        )

    @property
    def _longest_wait(self) -> float:
        """Seconds to name where checks hold the endpoints and nobody knows for how long."""
        check = self.policy.check
        if check is None or not all(endpoint.breaker.held for endpoint in self.pools):
            return self.policy.breaker.eject_max
        return check.policy.interval * check.policy.rise
