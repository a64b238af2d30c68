"""When what is bad is held against nobody: too many of a fleet went silent, or fail, together.

That is rather a network or this registry than all of them, so they become suspect, not critical.
In a small fleet a part is soon reached by accident, and everybody is judged for himself.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

SHARE: Final = 0.15
LEAST: Final = 3
SMALL: Final = 5  # a fleet of fewer has no such protection
LATE: Final = 0.5  # the part of its ttl after which an instance is on its way out
PROTECTION: Final = 600.0  # seconds after which the silent are believed to be gone


def protects(silent: int, size: int) -> bool:
    """Whether `silent` of a fleet of `size` are too many to be believed."""
    return size >= SMALL and silent >= LEAST and silent > SHARE * size


def protection(zone: str, fleet: Collection[tuple[str, bool]]) -> str:
    """Why it is not held against an instance in `zone` that it is bad, or ''.

    fleet: the zone of each instance of its service, and whether it is bad or on its way there.
    """
    silent = sum(late for _, late in fleet)
    if protects(silent, len(fleet)):
        return f"{silent} of {len(fleet)} of the service are gone together"
    here = [late for where, late in fleet if where == zone]
    if zone and protects(sum(here), len(here)):
        return f"{sum(here)} of {len(here)} in zone {zone} are gone together"
    return ""
