"""Which instances of a service get requests, and how many beside others. Pure.

    passing      by its weight
    degraded     by half of it
    suspect      what nobody else can take, backups included
    starting, critical, maintenance, draining, weight 0   nothing new

What is under way at an instance that leaves finishes there. While the own zone has enough
instances those of others are backups, see uaitools.traffic.zones.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from uaitools.registry.client.member import Member
from uaitools.registry.evidence import State
from uaitools.traffic.zones import Place, backups


@dataclass(frozen=True, slots=True)
class Placed:
    """An instance that gets requests, with its weight. backup, last: see traffic.endpoint."""

    member: Member
    weight: int
    backup: bool = False
    last: bool = False

    @property
    def rank(self) -> int:
        """0 for who gets requests first."""
        return self.backup + self.last


@dataclass(frozen=True, slots=True)
class Placement:
    """The instances of one service.

    placed: those that get requests. out: the others. scale: by which weights have grown here, and
    those of endpoints beside them have to.
    """

    placed: tuple[Placed, ...] = ()
    out: tuple[Member, ...] = ()
    scale: int = 1


NOBODY: Final = Placement()


def place(members: Sequence[Member], zone: str = "", failing: Collection[str] = ()) -> Placement:
    """Where the requests of one service go.

    zone: the caller's own, "" when it has none. failing: ids of instances that breakers have taken
    out, or that ramp up; they keep their place, but a zone of which they are many has not enough
    of its own.
    """
    able = [one for one in members if one.web]  # others get no HTTP requests
    ready = [
        one.served and one.health is not State.SUSPECT and one.id not in failing for one in able
    ]
    places = [Place(one.zone, one.weight, there) for one, there in zip(able, ready, strict=True)]
    # Weights are whole numbers, and half of an odd one is none: then all of them count double.
    scale = 2 if any(one.health is State.DEGRADED and one.weight % 2 for one in able) else 1
    placed = []
    for one, away in zip(able, backups(zone, places), strict=True):
        if one.served:
            suspect = one.health is State.SUSPECT
            weight = scale * one.weight // (2 if one.health is State.DEGRADED else 1)
            placed.append(Placed(one, weight, backup=away or suspect, last=suspect))
    known = {one.member.id for one in placed}
    return Placement(tuple(placed), tuple(one for one in members if one.id not in known), scale)
