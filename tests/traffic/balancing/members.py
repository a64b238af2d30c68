"""Endpoints for the tests of balancing, every policy with its own seeded chance."""

import random
from collections import Counter
from collections.abc import Callable, Sequence

from uaitools.traffic.balancing import (
    Balancer,
    ConsistentHash,
    Ewma,
    LeastRequests,
    Random,
    RoundRobin,
)
from uaitools.traffic.balancing.ring import hashed
from uaitools.traffic.breaker import Cause, CircuitBreaker
from uaitools.traffic.endpoint import Endpoint

NOW = 1000.0
LATER = NOW + 5000.0
ROOM = 1000

POLICIES: dict[str, Callable[[Sequence[Endpoint]], Balancer]] = {
    "round_robin": RoundRobin,
    "least_requests": lambda endpoints: LeastRequests(endpoints, random.Random(7).random),
    "ewma": lambda endpoints: Ewma(endpoints, 10.0, random.Random(7).random),
    "consistent_hash": ConsistentHash,
    "random": lambda endpoints: Random(endpoints, random.Random(7).random),
}


def endpoint(
    name: str, weight: int = 1, cause: Cause | None = None, *, backup: bool = False
) -> Endpoint:
    """An endpoint that is healthy or, with a cause, ejected until LATER."""
    made = Endpoint(name, weight, CircuitBreaker(), ROOM, backup=backup)
    if cause is not None:
        made.breaker.eject(NOW, cause, LATER)
    return made


def endpoints(*weights: int) -> list[Endpoint]:
    return [endpoint(chr(ord("A") + i), weight) for i, weight in enumerate(weights)]


def key(number: int) -> int:
    return hashed(b"%d" % number)


def counts(balancer: Balancer, picks: int, now: float = NOW) -> Counter[str]:
    """How often each endpoint is picked, with a new key each time."""
    found = [balancer.pick(now, (), key(number)) for number in range(picks)]
    return Counter(each.address if each else "none" for each in found)


def chi_square(seen: Counter[str], weights: dict[str, float]) -> float:
    """Pearson's statistic of counts against the parts that weights give."""
    picks, whole = seen.total(), sum(weights.values())
    assert set(seen) <= set(weights)
    return sum(
        (seen[name] - picks * weight / whole) ** 2 / (picks * weight / whole)
        for name, weight in weights.items()
    )


# Chi-square values that chance exceeds once in 10,000, by degrees of freedom.
CRITICAL = {1: 15.14, 2: 18.42, 3: 21.11, 4: 23.51}
