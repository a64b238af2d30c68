"""A bounded memo of two generations: what is asked for again stays, what is not is forgotten.

When the young generation is full it becomes the old one, and that is dropped. What is found in the
old one is young again. Eviction costs nothing, and at most twice `capacity` entries live.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Memo(Generic[K, V]):
    """K -> V. young: what is known, a dictionary for look-ups without a call."""

    __slots__ = ("_capacity", "_old", "young")

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._old: dict[K, V] = {}
        self.young: dict[K, V] = {}

    def __repr__(self) -> str:
        return f"<Memo young={len(self.young)} old={len(self._old)} capacity={self._capacity}>"

    def __len__(self) -> int:
        return len(self.young) + len(self._old)

    def get(self, key: K) -> V | None:
        """The value kept for `key`, or None."""
        value = self.young.get(key)
        if value is None:
            value = self._old.pop(key, None)
            if value is not None:
                self.put(key, value)
        return value

    def put(self, key: K, value: V) -> None:
        """Keep `value`, in place of an older one."""
        if len(self.young) >= self._capacity and key not in self.young:
            self._old = self.young
            self.young = {}
        if self._capacity:
            self.young[key] = value

    def clear(self) -> None:
        """Forget everything."""
        self._old = {}
        self.young = {}
