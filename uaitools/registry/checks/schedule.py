"""Whose check is due when: one heap for all, and a pace for those that are new."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from typing import Final, Generic, TypeVar

PACE: Final = 200.0  # first checks a second, as long as the interval has room for them
_SLACK: Final = 64  # entries without meaning that are not worth a rebuild

K = TypeVar("K")


class Schedule(Generic[K]):
    """Keys and when each is due, the soonest first; of those due together, the first set.

    A key that is dropped or set anew leaves its entry in the heap, which is passed over when its
    time comes, and cleared away when such entries are the greater part.
    """

    __slots__ = ("_count", "_current", "_heap")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, K]] = []
        self._current: dict[K, int] = {}
        self._count = 0

    def __repr__(self) -> str:
        return f"<Schedule keys={len(self._current)} entries={len(self._heap)}>"

    def __len__(self) -> int:
        return len(self._current)

    def set(self, key: K, due: float) -> None:
        """Put a key in, or at another time."""
        self._count += 1
        self._current[key] = self._count
        heapq.heappush(self._heap, (due, self._count, key))
        self._tidy()

    def drop(self, key: K) -> None:
        """Take a key out, if it is in."""
        if self._current.pop(key, None) is not None:
            self._tidy()

    def soonest(self) -> tuple[float, K] | None:
        """When the first is due and which it is; it stays in."""
        while self._heap:
            due, count, key = self._heap[0]
            if self._current.get(key) == count:
                return due, key
            heapq.heappop(self._heap)
        return None

    def _tidy(self) -> None:
        if len(self._heap) > 2 * len(self._current) + _SLACK:
            self._heap = [one for one in self._heap if self._current.get(one[2]) == one[1]]
            heapq.heapify(self._heap)


class Pace:
    """When first checks begin: a few at once, many (at a restart) one after the other.

    Without it 10,000 instances that appear together would be checked in step from then on. Those
    for whom a queue would take longer than their interval are spread over that instead.
    """

    __slots__ = ("_rate", "_slot")

    def __init__(self, rate: float = PACE) -> None:
        self._rate = rate
        self._slot = float("-inf")

    def __repr__(self) -> str:
        return f"<Pace {self._rate:g}/s>"

    def first(
        self, interval: float, now: float, uniform: Callable[[], float] = random.random
    ) -> float:
        """When the first check of a new instance is due, at most one interval from now."""
        slot = max(self._slot + 1.0 / self._rate, now)
        if slot > now + interval:
            return now + interval * uniform()
        self._slot = slot
        return slot
