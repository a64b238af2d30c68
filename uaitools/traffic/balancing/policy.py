"""What every balancing policy can do, and the policies by the names that the configuration uses."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final, Protocol

from uaitools.traffic.balancing.consistent_hash import ConsistentHash
from uaitools.traffic.balancing.ewma import Ewma
from uaitools.traffic.balancing.least_requests import LeastRequests
from uaitools.traffic.balancing.random import Random
from uaitools.traffic.balancing.round_robin import RoundRobin
from uaitools.traffic.endpoint import Endpoint


class Balancer(Protocol):
    """A policy over a fixed list of endpoints; a changed list gets a new balancer."""

    def pick(self, now: float, tried: Collection[Endpoint] = (), key: int = 0) -> Endpoint | None:
        """The endpoint for the next call, or None; one of `tried` only if no other is left.

        key: 64 bits that stand for what is hashed; only consistent hashing looks at them.
        """

    def refresh(self) -> None:
        """A state, a weight or a backup has changed."""


BALANCERS: Final[dict[str, Callable[[Sequence[Endpoint]], Balancer]]] = {
    "round_robin": RoundRobin,
    "least_requests": LeastRequests,
    "ewma": Ewma,
    "consistent_hash": ConsistentHash,
    "random": Random,
}


def make_balancer(name: str, decay: float, endpoints: Sequence[Endpoint]) -> Balancer:
    """The policy of that name over `endpoints`. decay: in seconds, of ewma.

    The endpoints report to it from now on if it observes, else to nobody.
    """
    if name != "ewma":
        for endpoint in endpoints:
            endpoint.observer = None
        return BALANCERS[name](endpoints)
    ewma = Ewma(endpoints, decay)
    for endpoint in endpoints:
        endpoint.observer = ewma
    return ewma
