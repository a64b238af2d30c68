"""When what is bad is held against nobody: too many of a fleet went silent, or fail, together.

That is rather a network or this registry than all of them, so they become suspect, not critical.
In a small fleet a part is soon reached by accident, and everybody is judged for himself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

SHARE: Final = 0.15
LEAST: Final = 3
SMALL: Final = 5  # a fleet of fewer has no such protection
LATE: Final = 0.5  # the part of its ttl after which an instance is on its way out
PROTECTION: Final = 600.0  # seconds after which the silent are believed to be gone


def protects(silent: int, size: int) -> bool:
    """Whether `silent` of a fleet of `size` are too many to be believed."""
    return size >= SMALL and silent >= LEAST and silent > SHARE * size


class Fleet:
    """How many instances a service has, and how many of them are bad, in all and by zone."""

    __slots__ = ("_bad", "_size")

    def __init__(self, members: Iterable[tuple[str, bool]] = ()) -> None:
        self._size: Counter[str] = Counter()
        self._bad: Counter[str] = Counter()
        for zone, bad in members:
            self.add(zone, bad=bad)

    def __repr__(self) -> str:
        return f"<Fleet size={self._size.total()} bad={self._bad.total()}>"

    def add(self, zone: str, *, bad: bool) -> None:
        """One more."""
        self._size[zone] += 1
        self._bad[zone] += bad

    def remove(self, zone: str, *, bad: bool) -> None:
        """One less."""
        self._size[zone] -= 1
        self._bad[zone] -= bad
        if not self._size[zone]:
            del self._size[zone], self._bad[zone]

    def turn(self, zone: str, *, bad: bool) -> None:
        """One has become bad, or is so no more."""
        self._bad[zone] += 1 if bad else -1

    def protection(self, zone: str) -> str:
        """Why it is not held against an instance in `zone` that it is bad, or ''."""
        bad, size = self._bad.total(), self._size.total()
        if protects(bad, size):
            return f"{bad} of {size} of the service are gone together"
        bad, size = self._bad[zone], self._size[zone]
        if zone and protects(bad, size):
            return f"{bad} of {size} in zone {zone} are gone together"
        return ""
