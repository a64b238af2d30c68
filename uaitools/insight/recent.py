"""What a process has served last, by what was asked for. Pure: times are the caller's.

A look-up is one of a dictionary. What is put has been found a moment before, and something may have
been reported since: who puts says how many changes there had been when he began to look.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, Generic, Protocol, TypeVar

OVERHEAD: Final = 650  # bytes that an entry takes beside its body: measured, rounded up


class Kept(Protocol):
    """What is kept. about: those with the same one are forgotten together."""

    @property
    def about(self) -> str:
        """The id of a repository, '' for none."""


V = TypeVar("V", bound=Kept)


class Recent(Generic[V]):
    """At most `size` bytes. changes: how often something was forgotten.

    Of two generations: when the young one has half of the size, it becomes the old one, and what is
    not asked for again goes with it.
    """

    __slots__ = ("_half", "_old", "_used", "_young", "changes")

    def __init__(self, size: int) -> None:
        self.changes = 0
        self._half = size // 2
        self._used = 0  # bytes of the young
        self._young: dict[object, tuple[V, float, int]] = {}
        self._old: dict[object, tuple[V, float, int]] = {}

    def __repr__(self) -> str:
        return f"<Recent young={len(self._young)} old={len(self._old)} changes={self.changes}>"

    def get(self, asked: object, now: float) -> V | None:
        """What is kept, while it is good."""
        found = self._young.get(asked)
        if found is None:
            found = self._old.pop(asked, None)
            if found is None:
                return None
            self._keep(asked, found)
        value, ends, _ = found
        return value if now < ends else None

    def put(self, asked: object, value: V, size: int, ends: float, changes: int) -> None:
        """Keep what is good until `ends`. size: bytes. changes: those before it was looked for."""
        if changes == self.changes and size + OVERHEAD <= self._half:
            self._keep(asked, (value, ends, size + OVERHEAD))

    def forget(self, about: Collection[str]) -> None:
        """Keep nothing about some."""
        self.changes += 1
        for kept in (self._young, self._old):
            for asked in [asked for asked, (value, _, _) in kept.items() if value.about in about]:
                del kept[asked]  # the bytes that it took count until the next turn

    def clear(self) -> None:
        """Keep nothing."""
        self.changes += 1
        self._young, self._old, self._used = {}, {}, 0

    def _keep(self, asked: object, found: tuple[V, float, int]) -> None:
        if self._used + found[2] > self._half:
            self._old, self._young, self._used = self._young, {}, 0
        if asked not in self._young:
            self._used += found[2]
        self._young[asked] = found
