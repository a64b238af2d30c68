"""How much may pass: rates (GCRA) and calendar quotas, and how they are written.

A rate is the Generic Cell Rate Algorithm in its virtual scheduling form (ITU-T I.371): all that a
key needs is one time, at which its bucket would be full again. A quota counts within a calendar
period in UTC. Times are whole nanoseconds, so that sums are exact.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

NANO: Final = 1_000_000_000
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_LARGEST: Final = sorted(_UNITS.items(), key=lambda one: -one[1])
_RATE: Final = re.compile(r"([1-9][0-9]{0,8})/([1-9][0-9]{0,5})?(s|m|h|d)")
_QUOTA: Final = re.compile(r"([1-9][0-9]{0,14})/(hour|day|month)")
_LONGEST: Final = 366 * 86_400  # seconds that a bucket may take to fill: sums fit into 63 bits


@dataclass(frozen=True, slots=True)
class Rate:
    """`count` calls in `period` seconds, of which `burst` may come at once.

    Within any t seconds at most `burst + count * t / period` calls are admitted.
    """

    count: int
    period: int
    burst: int

    def __post_init__(self) -> None:
        if self.burst < 1:
            raise ValueError("a burst of less than 1 would refuse everything")
        if self.period > _LONGEST or self.capacity > _LONGEST * NANO:
            raise ValueError(
                "a rate's period, and what its burst takes to come back, is at most 366 days"
            )

    @classmethod
    def parse(cls, text: str, burst: int | None = None) -> Rate:
        """`100/s`, `600/10m`: a count and a period of s, m, h or d. burst: count when None.

        Raises ValueError that says what is expected.
        """
        match = _RATE.fullmatch(text)
        if match is None:
            raise ValueError(
                "a rate is a count and a period of s, m, h or d, as 100/s or 600/10m "
                f"(a quota of the calendar: 10000/day); not {text!r}"
            )
        count = int(match[1])
        return cls(count, int(match[2] or 1) * _UNITS[match[3]], count if burst is None else burst)

    def __str__(self) -> str:
        unit = next(unit for unit, seconds in _LARGEST if self.period % seconds == 0)
        periods = self.period // _UNITS[unit]
        return f"{self.count}/{periods if periods > 1 else ''}{unit}"

    @property
    def interval(self) -> int:
        """Nanoseconds that one call costs, rounded up: an error is to the limit's side."""
        return -(-self.period * NANO // self.count)

    @property
    def capacity(self) -> int:
        """Nanoseconds that a whole burst costs."""
        return self.interval * self.burst


@dataclass(frozen=True, slots=True)
class Quota:
    """`count` calls in each calendar `period`: hour, day or month, in UTC."""

    count: int
    period: str

    @classmethod
    def parse(cls, text: str) -> Quota:
        """`10000/day`. Raises ValueError that says what is expected."""
        match = _QUOTA.fullmatch(text)
        if match is None:
            raise ValueError(
                f"a quota is a count for an hour, a day or a month, as 10000/day; not {text!r}"
            )
        return cls(int(match[1]), match[2])

    def __str__(self) -> str:
        return f"{self.count}/{self.period}"
