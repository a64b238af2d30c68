"""What happens to a user's entries while they are read from where they are kept."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from uaitools.memory.index.port import Entry
from uaitools.memory.index.scope import Scope


class Changes:
    """Changes of one user since a reading began, to be made to what was read.

    What is read may be older or newer than a change: of what was deleted nothing that was read
    remains, and an entry holds where it is not older than what was read.
    """

    __slots__ = ("_dropped", "_emptied", "_put")

    def __init__(self) -> None:
        self._emptied = False  # the whole scope was deleted
        self._dropped: set[UUID] = set()
        self._put: dict[UUID, Entry] = {}  # since then

    def __repr__(self) -> str:
        state = " emptied" if self._emptied else ""
        return f"<Changes put={len(self._put)} dropped={len(self._dropped)}{state}>"

    def put(self, entry: Entry) -> None:
        """An entry came."""
        before = self._put.get(entry.id)
        if before is None or before.generation <= entry.generation:
            self._put[entry.id] = entry

    def drop(self, ids: Iterable[UUID]) -> None:
        """Entries were deleted."""
        for one in ids:
            self._dropped.add(one)
            self._put.pop(one, None)

    def empty(self) -> None:
        """Everything was deleted."""
        self._emptied = True
        self._put.clear()

    def gone(self, one: UUID) -> bool:
        """Whether what was read of an id is there no more."""
        return self._emptied or one in self._dropped

    def applied(self, scope: Scope) -> Scope:
        """What was read, with the changes made to it."""
        if self._emptied:
            scope = Scope(scope.dimension)
        for one in self._dropped:
            scope.drop(one)
        for entry in self._put.values():
            scope.put(entry)
        return scope
