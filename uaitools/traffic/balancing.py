"""Which endpoint takes the next call: smooth weighted round robin, with panic.

Smooth means interleaved: weights 5, 1, 1 give A A B A C A A, not five As in a row (the scheme
of nginx's upstream module). While all endpoints are healthy the cycle is laid out once and
walked, so that a pick costs the same for two endpoints and for two hundred.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import reduce
from math import gcd
from typing import Final, Protocol

from uaitools.traffic.breaker import OUT, READMISSIBLE
from uaitools.traffic.endpoint import Endpoint

_CYCLE_LIMIT: Final = 1000  # picks laid out at most; heavier weights are credited pick by pick


class Balancer(Protocol):
    """A policy over a fixed list of endpoints; a changed list gets a new balancer."""

    def pick(self, now: float, tried: Collection[Endpoint] = ()) -> Endpoint | None:
        """The endpoint for the next call, or None; one of `tried` only if no other is left."""

    def refresh(self) -> None:
        """A state or a weight has changed."""


class RoundRobin:
    """Smooth weighted round robin over the available endpoints."""

    __slots__ = ("_at", "_cycle", "_endpoints")

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self._endpoints = tuple(endpoints)
        self._cycle: tuple[Endpoint, ...] = ()
        self._at = 0
        self.refresh()

    def __repr__(self) -> str:
        return f"<RoundRobin endpoints={len(self._endpoints)} cycle={len(self._cycle)}>"

    def refresh(self) -> None:
        """Lay the cycle out anew, or drop it while an endpoint is not healthy."""
        if all(endpoint.healthy for endpoint in self._endpoints):
            self._cycle = _cycle(self._endpoints)
            self._at %= len(self._cycle) or 1
        else:
            self._cycle = ()

    def pick(self, now: float, tried: Collection[Endpoint] = ()) -> Endpoint | None:
        """The next endpoint in turn; see Balancer.pick."""
        cycle = self._cycle
        if cycle and not tried:
            at = self._at
            endpoint = cycle[at]
            at += 1
            self._at = 0 if at == len(cycle) else at
            if endpoint.in_flight < endpoint.max_requests:
                return endpoint
        fresh = [e for e in self._endpoints if e not in tried]
        return self._credit(fresh, now) or (self._credit(self._endpoints, now) if tried else None)

    def _credit(self, endpoints: Sequence[Endpoint], now: float) -> Endpoint | None:
        if self._panicking():
            # Fewer than half are left and would drown: those that were taken out on weak
            # evidence come back.
            return smooth_pick(endpoints, lambda endpoint: _panic_share(endpoint, now))
        return smooth_pick(endpoints, lambda endpoint: endpoint.share(now))

    def _panicking(self) -> bool:
        out = sum(1 for endpoint in self._endpoints if endpoint.breaker.state in OUT)
        return 2 * out > len(self._endpoints)


# By the names that the configuration gives them.
BALANCERS: Final[dict[str, Callable[[Sequence[Endpoint]], Balancer]]] = {"round_robin": RoundRobin}


def smooth_pick(
    endpoints: Sequence[Endpoint], share: Callable[[Endpoint], float]
) -> Endpoint | None:
    """One step of smooth weighted round robin: credit each its share, charge the richest all."""
    total = 0.0
    richest: Endpoint | None = None
    for endpoint in endpoints:
        weight = share(endpoint)
        if weight <= 0.0:
            continue
        endpoint.current += weight
        total += weight
        if richest is None or endpoint.current > richest.current:
            richest = endpoint
    if richest is not None:
        richest.current -= total
    return richest


def _panic_share(endpoint: Endpoint, now: float) -> float:
    share = endpoint.share(now)
    if share <= 0.0 and endpoint.breaker.cause in READMISSIBLE:
        full = endpoint.in_flight >= endpoint.max_requests
        return 0.0 if full else float(endpoint.weight)
    return share


def _cycle(endpoints: Sequence[Endpoint]) -> tuple[Endpoint, ...]:
    weighted = [endpoint for endpoint in endpoints if endpoint.weight > 0]
    if not weighted:
        return ()
    divisor = reduce(gcd, (endpoint.weight for endpoint in weighted))
    length = sum(endpoint.weight for endpoint in weighted) // divisor
    if length > _CYCLE_LIMIT:
        return ()
    credit = dict.fromkeys(weighted, 0)
    cycle: list[Endpoint] = []
    for _ in range(length):
        for endpoint in weighted:
            credit[endpoint] += endpoint.weight // divisor
        richest = max(weighted, key=credit.__getitem__)
        credit[richest] -= length
        cycle.append(richest)
    return tuple(cycle)
