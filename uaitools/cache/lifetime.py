"""How long a value is good, and for what it may still be used then. Pure: seconds, unix time.

The terms are those of HTTP caches: freshness (RFC 9111 4.2), stale-while-revalidate and
stale-if-error (RFC 5861).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from struct import Struct
from typing import Final, Self

_HEAD: Final = Struct(">dd")


class Outcome(StrEnum):
    """Where a value came from: X-Cache says it so."""

    HIT = "HIT"
    MISS = "MISS"
    STALE = "STALE"
    """It was kept, and its time was over: it is being loaded again, or cannot be."""
    COALESCED = "COALESCED"
    """It was not there, and was loaded for somebody who came before."""


@dataclass(frozen=True, slots=True)
class Lifetime:
    """All in seconds, but jitter.

    fresh: that a value is good. jitter: the part of that, 0 to 1, by which it may be less, so that
    what was loaded together is not loaded again together. revalidate: that it is used afterwards,
    while it is loaded again. if_error: that it is used afterwards where it cannot be loaded.
    patience: that another process's load is waited for, before one is begun here as well.
    """

    fresh: float
    jitter: float = 0.1
    revalidate: float = 0.0
    if_error: float = 0.0
    patience: float = 1.0

    @property
    def longest(self) -> float:
        """Seconds that a value is of any use."""
        return self.fresh + max(self.revalidate, self.if_error)

    def drawn(self, chance: float) -> float:
        """How long one value is fresh. chance: 0 to 1, drawn anew for each."""
        return self.fresh * (1 - self.jitter * chance)


@dataclass(frozen=True, slots=True)
class Kept:
    """A value as a cache keeps it. made: when its load began. fresh: seconds from then."""

    made: float
    fresh: float
    value: bytes

    @classmethod
    def read(cls, text: bytes) -> Self:
        """What `written` has made."""
        made, fresh = _HEAD.unpack_from(text)
        return cls(made, fresh, text[_HEAD.size :])

    @property
    def written(self) -> bytes:
        """As bytes."""
        return _HEAD.pack(self.made, self.fresh) + self.value


@dataclass(frozen=True, slots=True)
class Served:
    """A value, where it came from, and its age in seconds."""

    value: bytes
    outcome: Outcome
    age: float
