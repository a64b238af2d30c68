"""The instances of one service, and its changes in their order."""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from uaitools.registry.entry import Entry, Moment
from uaitools.registry.evidence import State
from uaitools.registry.protection import Fleet

DELTAS: Final = 256  # kept; who is further behind lists again
DEPARTED: Final = 8  # instances that have gone and are remembered


class Cause(enum.StrEnum):
    """Why an instance is not there any more, or why a list is empty."""

    DEREGISTERED = "deregistered"  # at its own wish
    EXPIRED = "expired"  # it was critical for too long
    UNKNOWN = "unknown"  # nobody has ever registered here
    RESET = "backend reset"  # this registry has begun anew: ask again in a while
    FILTERED = "filtered"  # there are some, but none that was asked for


@dataclass(frozen=True, slots=True)
class Listing:
    """All instances of a service, those to prefer first.

    authoritative: an empty one may be believed: everybody has left by itself, or nobody was ever
    here. If not, keep what you knew. cause: why it is empty, None when it is not.
    """

    revision: int
    entries: tuple[Entry, ...]
    authoritative: bool
    cause: Cause | None


@dataclass(frozen=True, slots=True)
class Delta:
    """One change. entry: the instance as it is now, None when it is gone, because of `cause`."""

    revision: int
    id: str
    entry: Entry | None
    cause: Cause | None = None


@dataclass(frozen=True, slots=True)
class Departed:
    """An instance that has gone, and how it came to that."""

    id: str
    generation: int
    at: float
    cause: Cause
    history: tuple[Moment, ...]


class Service:
    """What watchers of one service can see.

    revision: of the last change, 0 before the first. fleet: how many of them are bad. departed:
    the last that have gone, for who wants to know why.
    """

    __slots__ = (
        "_bad",
        "_critical",
        "_deltas",
        "_entries",
        "departed",
        "fleet",
        "gone",
        "name",
        "revision",
    )

    def __init__(self, name: str, revision: int = 0) -> None:
        self.name = name
        self.revision = revision
        self.gone: Cause | None = None  # why the last one left, the most doubtful since the first
        self.fleet = Fleet()
        self._entries: dict[str, Entry] = {}
        self._critical: set[str] = set()
        self._bad: set[str] = set()  # as the fleet counts them
        self.departed: deque[Departed] = deque(maxlen=DEPARTED)
        # Revision, id, and why it has gone: None where it has come or changed.
        self._deltas: deque[tuple[int, str, Cause | None]] = deque(maxlen=DELTAS)

    def __repr__(self) -> str:
        return f"<Service {self.name} revision={self.revision} instances={len(self)}>"

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def restore(self, entry: Entry) -> None:
        """Put back an instance as it was; nothing has changed."""
        self._hold(entry)

    def put(self, entry: Entry, now: float) -> None:
        """An instance is new, or has changed."""
        if not self._entries:
            self.gone = None
        self._hold(entry)
        self._note(entry.instance.id, None)
        entry.revision, entry.revised = self.revision, now

    def remove(self, entry: Entry, cause: Cause, now: float) -> None:
        """An instance has gone."""
        instance = entry.instance
        self.departed.append(
            Departed(instance.id, instance.generation, now, cause, tuple(entry.history))
        )
        self._let_go(entry)
        if self.gone is not Cause.EXPIRED:
            self.gone = cause
        self._note(entry.instance.id, cause)

    def listing(self, *, fresh: bool) -> Listing:
        """Who is there. fresh: this registry has begun anew, and not heard everybody yet."""
        entries = tuple(sorted(self._entries.values(), key=_preference))
        cause = None if entries else Cause.RESET if fresh else self.gone or Cause.UNKNOWN
        return Listing(self.revision, entries, self.authoritative(fresh=fresh), cause)

    def authoritative(self, *, fresh: bool) -> bool:
        """Whether its list is to be believed, see Listing."""
        left_by_itself = self.gone in (None, Cause.DEREGISTERED)
        return not fresh and (left_by_itself or bool(self._entries))

    def since(self, revision: int) -> list[Delta] | None:
        """The changes after a revision; None when they are not known any more: list instead."""
        if revision == self.revision:
            return []
        if revision > self.revision or not self._deltas or self._deltas[0][0] > revision + 1:
            return None
        # Instances are told as they are now: those that were replaced since are not kept for it.
        found, causes = [], dict[str, Cause | None]()
        for at, name, cause in reversed(self._deltas):
            if at <= revision:
                break
            causes[name] = cause if cause is not None else causes.get(name)
            entry = self._entries.get(name) if cause is None else None
            found.append(Delta(at, name, entry, None if entry is not None else causes[name]))
        return found[::-1]

    def critical(self) -> list[Entry]:
        """Those that are critical, in the order of their ids: the same in every registry."""
        return [self._entries[name] for name in sorted(self._critical)]

    def _hold(self, entry: Entry) -> None:
        name = entry.instance.id
        before = self._entries.get(name)
        if before is not entry:
            if before is not None:
                self._discount(before)
            self._entries[name] = entry
            self.fleet.add(entry.instance.zone, bad=False)
            self.recount(entry)
        if entry.state is State.CRITICAL:
            self._critical.add(name)
        else:
            self._critical.discard(name)

    def _let_go(self, entry: Entry) -> None:
        del self._entries[entry.instance.id]
        self._critical.discard(entry.instance.id)
        self._discount(entry)

    def recount(self, entry: Entry) -> None:
        """Have the fleet count an instance as what it is now, bad or not."""
        name = entry.instance.id
        if entry.bad is not (name in self._bad):
            self._bad ^= {name}
            self.fleet.turn(entry.instance.zone, bad=entry.bad)

    def _discount(self, entry: Entry) -> None:
        name = entry.instance.id
        self.fleet.remove(entry.instance.zone, bad=name in self._bad)
        self._bad.discard(name)

    def _note(self, name: str, cause: Cause | None) -> None:
        self.revision += 1
        self._deltas.append((self.revision, name, cause))


# The order in which instances are to be used.
_ORDER: Final = {
    state: place
    for place, state in enumerate(
        (
            State.PASSING,
            State.DEGRADED,
            State.SUSPECT,
            State.STARTING,
            State.DRAINING,
            State.MAINTENANCE,
            State.CRITICAL,
        )
    )
}


def _preference(entry: Entry) -> tuple[int, str]:
    return _ORDER[entry.state], entry.instance.id
