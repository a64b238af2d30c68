"""Random choice by weight: one of many, and two different ones."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Final

from uaitools.traffic.balancing.availability import Availability
from uaitools.traffic.endpoint import Endpoint

Uniform = Callable[[], float]
"""A source of numbers in [0, 1)."""

_LEAST: Final = 1e-9  # of a total: what is less to draw from is rounding, not weight


class Urn:
    """Endpoints to draw from. weights: of each, 0 for never."""

    __slots__ = ("_cumulative", "_total", "endpoints")

    def __init__(self, endpoints: Sequence[Endpoint], weights: Sequence[float]) -> None:
        pairs = [(e, w) for e, w in zip(endpoints, weights, strict=True) if w > 0.0]
        self.endpoints = [endpoint for endpoint, _ in pairs]
        self._cumulative = list(accumulate([weight for _, weight in pairs]))
        self._total = self._cumulative[-1] if pairs else 0.0

    def __repr__(self) -> str:
        return f"<Urn endpoints={len(self.endpoints)} total={self._total:g}>"

    def one(self, uniform: Uniform) -> Endpoint | None:
        """One of them, each as likely as its weight; None when there is none."""
        endpoints = self.endpoints
        if not endpoints:
            return None
        # A product may round up to the total.
        return endpoints[min(bisect(self._cumulative, uniform() * self._total), len(endpoints) - 1)]

    def two(self, uniform: Uniform) -> tuple[Endpoint, Endpoint] | None:
        """Two different ones, the second as likely as its weight among the rest; None if empty.

        A single one is both.
        """
        endpoints = self.endpoints
        if not endpoints:
            return None
        last = len(endpoints) - 1
        cumulative = self._cumulative
        first = min(bisect(cumulative, uniform() * self._total), last)
        before = cumulative[first - 1] if first else 0.0
        own = cumulative[first] - before
        rest = self._total - own
        if rest <= self._total * _LEAST:
            return endpoints[first], endpoints[first]
        # As if the first one's part had been cut out.
        at = uniform() * rest
        second = min(bisect(cumulative, at if at < before else at + own), last)
        return endpoints[first], endpoints[second]


def settled_urn(availability: Availability) -> Urn | None:
    """The settled primaries by their weights, None when there are none; see Availability."""
    settled = availability.settled
    return Urn(settled, [float(endpoint.weight) for endpoint in settled]) if settled else None
