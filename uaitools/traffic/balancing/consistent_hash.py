"""The same key to the same endpoint, as long as none of them gets much more than its part.

Consistent hashing with bounded load (Mirrokni, Thorup, Zadimoghaddam, "Consistent Hashing with
Bounded Loads", 2016): with m calls in flight, this one included, no endpoint takes a call that
would bring it over ceil(c * m * its part of the weights), c = 1.25; the call goes on along the
ring to the next that has room. Keys of an endpoint that is out go on along the ring, too, and
return when it does: nothing else moves. While an endpoint ramps up its keys return one by one, a
part as large as its share, and stay.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import ceil
from typing import Final

from uaitools.traffic.balancing.availability import Availability, Candidates
from uaitools.traffic.balancing.ring import Ring
from uaitools.traffic.endpoint import Endpoint

BOUND: Final = 1.25
# The low half of a key says how soon it returns to an endpoint that ramps up; its place on the
# ring is a matter of the high half.
_LOW: Final = 0xFFFFFFFF


class ConsistentHash:
    """The owner of the key on a hash ring, or the next one with room."""

    __slots__ = ("_availability", "_backups", "_primaries", "_whole")

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self._availability = Availability(endpoints)
        self._primaries = Ring(())
        self._backups = Ring(())
        self._whole = 0  # the weights of the settled endpoints
        self.refresh()

    def __repr__(self) -> str:
        return f"<ConsistentHash {self._availability!r} {self._primaries!r}>"

    def refresh(self) -> None:
        """See Balancer.refresh; the rings are built anew only for other weights."""
        availability = self._availability
        availability.refresh()
        if not self._primaries.made_of(availability.primaries):
            self._primaries = Ring(availability.primaries)
        if not self._backups.made_of(availability.backups):
            self._backups = Ring(availability.backups)
        self._whole = sum([endpoint.weight for endpoint in availability.settled])

    def pick(self, now: float, tried: Collection[Endpoint] = (), key: int = 0) -> Endpoint | None:
        """The endpoint for `key`; see Balancer.pick."""
        if self._whole and not tried and now < self._availability.until:
            endpoint = self._primaries.owner(key)
            if endpoint is not None and endpoint.healthy and self._has_room(endpoint):
                return endpoint
        found = self._availability.candidates(now, tried)
        if not found.endpoints:
            return None
        ring = self._backups if found.endpoints[0].backup else self._primaries
        return _along(ring, key, found)

    def _has_room(self, endpoint: Endpoint) -> bool:
        """Whether one more call is within the bound, among the settled ones."""
        busy = endpoint.in_flight
        if busy >= endpoint.max_requests:
            return False
        if not busy:
            return True  # the bound is 1 at least
        calls = 1
        for each in self._availability.settled:
            calls += each.in_flight
        return busy < bound(calls, endpoint.weight / self._whole)


def bound(calls: int, part: float) -> int:
    """What one endpoint may have of `calls` in flight; part: of the weights, 0 to 1."""
    return ceil(BOUND * calls * part)


def _along(ring: Ring, key: int, found: Candidates) -> Endpoint | None:
    """The first candidate from `key` on that has room; some always has."""
    shares = dict(zip(found.endpoints, found.weights, strict=True))
    calls = 1 + sum([endpoint.in_flight for endpoint in found.endpoints])
    whole = sum(found.weights)
    early: Endpoint | None = None  # has room, but it is not yet this key's turn to return
    for endpoint in ring.walk(key):
        weight = shares.get(endpoint)
        if weight is None or endpoint.in_flight >= bound(calls, weight / whole):
            continue
        if (key & _LOW) < weight / endpoint.weight * (_LOW + 1):
            return endpoint
        early = early or endpoint
    return early
