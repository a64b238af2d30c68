"""Deletes that Redis has not confirmed. Pure.

They are sent before whatever is asked next, until an answer says that they were done. When there
are too many, all that Redis holds is forgotten instead.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Due:
    """What has to be done: `keys` deleted, or everything. number: of the last that was added."""

    keys: tuple[bytes, ...]
    everything: bool
    number: int

    def __bool__(self) -> bool:
        return self.everything or bool(self.keys)


class Owed:
    """limit: keys that are remembered one by one."""

    __slots__ = ("_everything", "_keys", "_limit", "_number")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._number = 0
        self._everything = 0  # the number at which there were too many
        self._keys: dict[bytes, int] = {}

    def __repr__(self) -> str:
        return f"<Owed {len(self._keys)}/{self._limit} everything={bool(self._everything)}>"

    def __len__(self) -> int:
        return len(self._keys) + bool(self._everything)

    def add(self, key: bytes) -> None:
        """A key has to be deleted from now on, whatever is under way for it already."""
        self._number += 1
        self._keys[key] = self._number
        if len(self._keys) > self._limit:
            self._keys.clear()
            self._everything = self._number

    def due(self) -> Due:
        """What has to be done now."""
        everything = bool(self._everything)
        return Due(() if everything else tuple(self._keys), everything, self._number)

    def done(self, due: Due) -> None:
        """It was. What was added meanwhile is still owed."""
        if self._everything <= due.number:
            self._everything = 0
        for key in tuple(self._keys) if due.everything else due.keys:
            if self._keys.get(key, due.number + 1) <= due.number:
                del self._keys[key]
