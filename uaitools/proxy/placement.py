"""Which instances that a registry names get requests, and how many beside others. Pure.

    passing      by its weight
    degraded     by half of it
    suspect      what nobody else can take, backups included
    starting, critical, maintenance, draining, weight 0   nothing new

What is under way at an instance that leaves finishes there: its pool is retired. While the own
zone has enough instances those of others are backups, see uaitools.traffic.zones.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from uaitools.traffic.zones import Place, backups

if TYPE_CHECKING:
    from uaitools.registry.client import Member

# An instance that speaks another protocol is no endpoint of an HTTP proxy.
SECURE: Final = {"http": False, "ws": False, "https": True, "wss": True}

_DEGRADED: Final = "degraded"
_SUSPECT: Final = "suspect"


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
    """The instances of one service. scale: by which the weights of endpoints beside them grow.

    placed: those that get requests. out: the others.
    """

    placed: tuple[Placed, ...] = ()
    out: tuple[Member, ...] = ()
    scale: int = 1


NOBODY: Final = Placement()


def place(members: Sequence[Member], zone: str = "", failing: Collection[str] = ()) -> Placement:
    """Where the requests of one service go.

    zone: the caller's own, "" when it has none. failing: ids of instances that breakers have taken
    out; they keep their place, but a zone of which they are many has not enough of its own.
    """
    served = [one for one in members if one.served and one.scheme in SECURE]
    ready = {one.id for one in served if one.health != _SUSPECT and one.id not in failing}
    places = [Place(one.zone, one.weight, one.id in ready) for one in members]
    far = {one.id for one, far in zip(members, backups(zone, places), strict=True) if far}
    # Weights are whole numbers, and half of an odd one is none: then all of them count double.
    halved = any(one.health == _DEGRADED and one.weight % 2 for one in served)
    scale = 2 if halved else 1
    placed = []
    for one in served:
        suspect = one.health == _SUSPECT
        weight = scale * one.weight
        if one.health == _DEGRADED:
            weight //= 2
        placed.append(Placed(one, weight, backup=suspect or one.id in far, last=suspect))
    known = {one.id for one in served}
    return Placement(tuple(placed), tuple(one for one in members if one.id not in known), scale)
