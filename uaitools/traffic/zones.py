"""Whose calls stay at home: which members of a service are a caller's primaries, which its backups.

One rule: while at least half of the weight of the caller's own zone is available, the members of
other zones are backups; otherwise all members are primaries, wherever they are. So a zone that
has lost an instance or two still serves itself, and one that has lost most of its own shares the
load with all others at once rather than drown the few that are left.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

ENOUGH: Final = 0.5  # of the own zone's weight


@dataclass(frozen=True, slots=True)
class Place:
    """Where a member is, and whether calls may go there.

    zone: "" for none. weight: that it has while it is available. available: neither its registry
    nor its breaker has anything against it. One that ramps up is not: were all others backups,
    it would get everything at once.
    """

    zone: str
    weight: float
    available: bool


def spills(zone: str, places: Iterable[Place]) -> bool:
    """Whether calls from `zone` go to all zones alike: from no zone, or one without enough."""
    whole = available = 0.0
    if zone:
        for place in places:
            if place.zone == zone:
                whole += place.weight
                available += place.weight if place.available else 0.0
    return available <= 0.0 or available < ENOUGH * whole


def backups(zone: str, places: Sequence[Place]) -> list[bool]:
    """For each of `places`, whether it is a backup for calls from `zone`."""
    if spills(zone, places):
        return [False] * len(places)
    return [place.zone != zone for place in places]
