"""A bounded memo of two generations: what is asked for again stays, what is not is forgotten.

Keep-alive clients repeat their heads byte for byte, so strict parsing is paid once a head
(docs/measurements.md: 0.15 us for a hit, 1.9 to 4 us for a parse). When the young generation is
full it becomes the old one, which is not asked any more: what comes again from there is made anew
once and is young again. At most twice `capacity` entries live, and eviction costs nothing.
"""

from __future__ import annotations

from typing import Final, Generic, TypeVar

V = TypeVar("V")

_MARKS: Final = 1024  # keys seen once that are remembered, by a hash; a power of two


class Memo(Generic[V]):
    """bytes -> V, at most `2 * capacity` entries with keys of at most `key_limit` bytes.

    young: what is known; a dictionary, for look-ups without a call where 0.05 us count.
    """

    __slots__ = ("_capacity", "_key_limit", "_marks", "_old", "young")

    def __init__(self, capacity: int, key_limit: int) -> None:
        self._capacity = capacity
        self._key_limit = key_limit
        self._marks = [0] * _MARKS
        self._old: dict[bytes, V] = {}
        self.young: dict[bytes, V] = {}

    def __repr__(self) -> str:
        return f"<Memo young={len(self.young)} old={len(self._old)} capacity={self._capacity}>"

    def __len__(self) -> int:
        return len(self.young) + len(self._old)

    def get(self, key: bytes) -> V | None:
        """The value known for `key`, or None."""
        return self.young.get(key)

    def put(self, key: bytes, value: V) -> None:
        """Keep `value` if this is the second time in a while that `key` comes by.

        A head that never comes again would only push useful ones out, of the memo and of the
        processor's caches: unique heads cost a third less with this door-keeper.
        """
        mark = hash(key)
        marks = self._marks
        slot = mark & _MARKS - 1
        if marks[slot] == mark or key in self._old:
            self._keep(key, value)
        else:
            marks[slot] = mark

    def _keep(self, key: bytes, value: V) -> None:
        if len(key) > self._key_limit:
            return
        if len(self.young) >= self._capacity:
            self._old = self.young
            self.young = {}
        self.young[key] = value
