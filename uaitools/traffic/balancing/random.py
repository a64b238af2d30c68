"""At random by weight: no state, so that many proxies cannot fall into step."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence

from uaitools.traffic.balancing.availability import Availability
from uaitools.traffic.balancing.draw import Uniform, Urn, settled_urn
from uaitools.traffic.endpoint import Endpoint


class Random:
    """Each available endpoint is as likely as its weight. uniform: numbers in [0, 1)."""

    __slots__ = ("_availability", "_uniform", "_urn")

    def __init__(self, endpoints: Sequence[Endpoint], uniform: Uniform = random.random) -> None:
        self._availability = Availability(endpoints)
        self._uniform = uniform
        self._urn: Urn | None = None
        self.refresh()

    def __repr__(self) -> str:
        return f"<Random {self._availability!r}>"

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
            endpoint = urn.one(self._uniform)
            if endpoint is not None and endpoint.in_flight < endpoint.max_requests:
                return endpoint
        found = self._availability.candidates(now, tried)
        return Urn(found.endpoints, found.weights).one(self._uniform)
