"""How far somebody has got: in one channel, and in several. Pure.

    k3Jx0aQ2:42                                one
    builds=k3Jx0aQ2:42,user%3Au-1=Zq81:3       several, names percent-encoded

Both stand in what clients send and get: an event's id, a poll's `after`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, unquote

EPOCH: Final = r"[A-Za-z0-9_-]{1,64}"
_PLACE: Final = re.compile(rf"({EPOCH}):([0-9]{{1,15}})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Place:
    """The last message that somebody has got. offset: 0 before the first one of an epoch.

    What clients say of it is checked in hub.commands: clients need no pydantic.
    """

    epoch: str
    offset: int

    def __str__(self) -> str:
        return f"{self.epoch}:{self.offset}"

    @property
    def document(self) -> dict[str, Any]:
        """As clients get it."""
        return {"epoch": self.epoch, "offset": self.offset}


def write_places(places: Mapping[str, Place]) -> str:
    """Places by the names of their channels, as one line of printable ASCII."""
    return ",".join(f"{quote(name, safe='')}={place}" for name, place in places.items())


def read_places(text: str) -> dict[str, Place]:
    """What `write_places` wrote; no text, no places. Raises ValueError."""
    places = {}
    for part in text.split(",") if text else ():
        name, _, place = part.rpartition("=")
        match = _PLACE.fullmatch(place)
        if match is None or not name:
            raise ValueError("places are written CHANNEL=EPOCH:OFFSET, with commas between them")
        places[unquote(name)] = Place(match[1], int(match[2]))
    return places
