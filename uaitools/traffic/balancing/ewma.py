"""Of two endpoints at random the one that promises the sooner answer: peak-EWMA.

The estimate of an endpoint's latency is an average whose past fades with `decay` seconds, but a
worse observation counts at once and whole: a peak. It also fades while nothing is observed, so
that an endpoint that was slow is tried again after a while and returns when it has recovered.
(Finagle's "peak EWMA" load metric, twitter.github.io/finagle, and Linkerd's after it.)

What is compared is latency * (1 + in_flight / weight) of two endpoints drawn by weight: the time
that a call would take behind those that are there already. An endpoint without an estimate is
taken while it is idle and avoided until its first answer has come, so that a new one gets a single
call to show what it can do, not a flood.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from math import exp
from typing import Final

from uaitools.traffic.balancing.availability import Availability
from uaitools.traffic.balancing.draw import Uniform, Urn, settled_urn
from uaitools.traffic.endpoint import Endpoint

DECAY: Final = 10.0
# Seconds that an endpoint is taken to need whose first answer is still to come.
_UNKNOWN: Final = 1e6
# Seconds that a failed call counts at least when nothing else is known of its endpoint.
_FAILED: Final = 1.0
# Seconds that no estimate exceeds: failures double it, and it has to come down again.
_CEILING: Final = 60.0


class Ewma:
    """The sooner of two that are drawn by weight.

    decay: seconds after which an observation counts 1/e. uniform: numbers in [0, 1).
    """

    __slots__ = ("_availability", "_decay", "_uniform", "_urn")

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        decay: float = DECAY,
        uniform: Uniform = random.random,
    ) -> None:
        self._availability = Availability(endpoints)
        self._decay = decay
        self._uniform = uniform
        self._urn: Urn | None = None
        self.refresh()

    def __repr__(self) -> str:
        return f"<Ewma decay={self._decay:g} {self._availability!r}>"

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
            endpoint = self._sooner(urn, now)
            if endpoint is not None and endpoint.in_flight < endpoint.max_requests:
                return endpoint
        found = self._availability.candidates(now, tried)
        return self._sooner(Urn(found.endpoints, found.weights), now)

    def observe(self, endpoint: Endpoint, seconds: float, now: float, *, failed: bool) -> None:
        """An answer came, or a call failed, `seconds` after it was sent.

        A failure that is quick makes no endpoint look good: it counts at least twice the estimate.
        """
        known = endpoint.latency
        if failed:
            seconds = max(seconds, 2.0 * known if known > 0.0 else _FAILED)
        seconds = min(seconds, _CEILING)
        if seconds < known:
            past = exp(min(0.0, endpoint.latency_at - now) / self._decay)
            seconds += (known - seconds) * past
        endpoint.latency = seconds
        endpoint.latency_at = now

    def cost(self, endpoint: Endpoint, now: float) -> float:
        """Seconds that a call sent to `endpoint` now can be expected to take."""
        latency = endpoint.latency
        if latency <= 0.0:
            return _UNKNOWN * endpoint.in_flight
        # The estimate, written out: a call would cost a tenth of a pick.
        faded = latency * exp(min(0.0, endpoint.latency_at - now) / self._decay)
        return faded * (1.0 + endpoint.in_flight / max(1, endpoint.weight))

    def estimate(self, endpoint: Endpoint, now: float) -> float | None:
        """Seconds to an answer of `endpoint`; None before its first."""
        if endpoint.latency <= 0.0:
            return None
        return endpoint.latency * exp(min(0.0, endpoint.latency_at - now) / self._decay)

    def _sooner(self, urn: Urn, now: float) -> Endpoint | None:
        drawn = urn.two(self._uniform)
        if drawn is None:
            return None
        first, second = drawn
        return second if self.cost(second, now) < self.cost(first, now) else first
