"""In turn, interleaved by weight: smooth weighted round robin.

Smooth means interleaved: weights 5, 1, 1 give A A B A C A A, not five As in a row (the scheme
of nginx's upstream module). While all endpoints are healthy the cycle is laid out once and
walked, so that a pick costs the same for two endpoints and for two hundred.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import reduce
from math import gcd
from typing import Final

from uaitools.traffic.balancing.availability import Availability, Candidates
from uaitools.traffic.breaker import NEVER
from uaitools.traffic.endpoint import Endpoint

_CYCLE_LIMIT: Final = 1000  # picks laid out at most; heavier weights are credited pick by pick


class RoundRobin:
    """Smooth weighted round robin over the available endpoints."""

    __slots__ = ("_at", "_availability", "_cycle", "_passing")

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self._availability = Availability(endpoints)
        self._cycle: tuple[Endpoint, ...] = ()
        self._passing: tuple[Endpoint, ...] = ()  # a cycle that lasts until a probe is due
        self._at = 0
        self.refresh()

    def __repr__(self) -> str:
        return f"<RoundRobin {self._availability!r} cycle={len(self._cycle or self._passing)}>"

    def refresh(self) -> None:
        """Lay the cycle out anew over the settled ones; see Availability."""
        availability = self._availability
        availability.refresh()
        cycle = _cycle(availability.settled)
        self._at %= len(cycle) or 1
        # Two places, so that a pick while all are healthy need not look at the time.
        lasting = availability.until == NEVER
        self._cycle = cycle if lasting else ()
        self._passing = () if lasting else cycle

    def pick(
        self,
        now: float,
        tried: Collection[Endpoint] = (),
        key: int = 0,  # noqa: ARG002 - see Balancer.pick
    ) -> Endpoint | None:
        """The next endpoint in turn; see Balancer.pick."""
        cycle = self._cycle
        if not cycle and now < self._availability.until:
            cycle = self._passing
        if cycle and not tried:
            at = self._at
            endpoint = cycle[at]
            at += 1
            self._at = 0 if at == len(cycle) else at
            if endpoint.in_flight < endpoint.max_requests:
                return endpoint
        return smooth_pick(self._availability.candidates(now, tried))


def smooth_pick(candidates: Candidates) -> Endpoint | None:
    """One step of smooth weighted round robin: credit each its weight, charge the richest all."""
    total = 0.0
    richest: Endpoint | None = None
    for endpoint, weight in zip(candidates.endpoints, candidates.weights, strict=True):
        endpoint.current += weight
        total += weight
        if richest is None or endpoint.current > richest.current:
            richest = endpoint
    if richest is not None:
        richest.current -= total
    return richest


def _cycle(endpoints: Sequence[Endpoint]) -> tuple[Endpoint, ...]:
    weighted = [endpoint for endpoint in endpoints if endpoint.weight > 0]
    if not weighted:
        return ()
    divisor = reduce(gcd, (endpoint.weight for endpoint in weighted))
    length = sum(endpoint.weight for endpoint in weighted) // divisor
    if length > _CYCLE_LIMIT:
        return ()
    if length == len(weighted):
        return tuple(weighted)  # what equal weights come to, without 50 ms for a thousand of them
    credit = dict.fromkeys(weighted, 0)
    cycle: list[Endpoint] = []
    for _ in range(length):
        for endpoint in weighted:
            credit[endpoint] += endpoint.weight // divisor
        richest = max(weighted, key=credit.__getitem__)
        credit[richest] -= length
        cycle.append(richest)
    return tuple(cycle)
