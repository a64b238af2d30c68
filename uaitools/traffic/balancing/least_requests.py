"""Of two endpoints at random the one with less in flight.

Two choices suffice: the longest queue of n falls from about log n / log log n to log log n
(Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 2001), and no two proxies
send everything to the one that was idle a moment ago.

The two are drawn by weight and compared by requests in flight for each unit of weight; of equals
the first drawn wins. So an idle service is shared out exactly by weight, and a busy one is filled
in proportion to it. Comparing (in_flight + 1) / weight instead would send a service with weights 3
and 1 that has one call at a time nearly nothing but to the heavier: 100 % of the calls, not 75.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence

from uaitools.traffic.balancing.availability import Availability
from uaitools.traffic.balancing.draw import Uniform, Urn, settled_urn
from uaitools.traffic.endpoint import Endpoint


class LeastRequests:
    """The less busy of two that are drawn by weight. uniform: numbers in [0, 1)."""

    __slots__ = ("_availability", "_uniform", "_urn")

    def __init__(self, endpoints: Sequence[Endpoint], uniform: Uniform = random.random) -> None:
        self._availability = Availability(endpoints)
        self._uniform = uniform
        self._urn: Urn | None = None
        self.refresh()

    def __repr__(self) -> str:
        return f"<LeastRequests {self._availability!r}>"

    def refresh(self) -> None:
        """See Balancer.refresh."""
        self._availability.refresh()
        self._urn = settled_urn(self._availability)

    def pick(
        self,
        now: float,
        tried: Collection[Endpoint] = (),
        key: int = 0,  # noqa: ARG002 - see Balancer.pick
    ) -> Endpoint | None:
        """The next endpoint; see Balancer.pick."""
        urn = self._urn
        if urn is not None and not tried and now < self._availability.until:
            endpoint = _lighter(urn, self._uniform)
            if endpoint is not None and endpoint.in_flight < endpoint.max_requests:
                return endpoint
        found = self._availability.candidates(now, tried)
        return _lighter(Urn(found.endpoints, found.weights), self._uniform)


def _lighter(urn: Urn, uniform: Uniform) -> Endpoint | None:
    drawn = urn.two(uniform)
    if drawn is None:
        return None
    first, second = drawn
    # in_flight / weight without the division; a panic admits nobody whose weight is 0.
    if second.in_flight * first.weight < first.in_flight * second.weight:
        return second
    return first
