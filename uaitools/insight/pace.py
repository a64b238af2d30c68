"""How many requests there were of late, and how long they took. Pure: the caller has the clock."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """seconds: that a request took, on average; None where there was none."""

    per_second: float
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Totals:
    """Since the start, at a moment: requests, and the seconds that they took in all."""

    at: float
    requests: int
    seconds: float


class Lately:
    """The last `marks` moments of which totals were told; what was before them is forgotten."""

    __slots__ = ("_marks",)

    def __init__(self, marks: int, first: Totals) -> None:
        self._marks = deque((first,), maxlen=marks)

    def __repr__(self) -> str:
        return f"<Lately marks={len(self._marks)}>"

    def mark(self, totals: Totals) -> None:
        """Remember a moment."""
        self._marks.append(totals)

    def pace(self, now: Totals) -> Pace:
        """Between the first of the moments and now."""
        first = self._marks[0]
        requests, passed = now.requests - first.requests, now.at - first.at
        return Pace(
            requests / passed if passed > 0 else 0.0,
            (now.seconds - first.seconds) / requests if requests else None,
        )
