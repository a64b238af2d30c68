"""Who watches a service, and which of its revisions they have applied.

An instance may stop once nobody sends it anything new and nothing is under way: that is so when
every live watcher has applied the revision that says it drains, and it has nothing in flight.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import Final

from uaitools.registry.errors import Crowded

LIVE: Final = 45.0  # seconds after its last word in which a watcher counts
MOST: Final = 10_000  # watchers of one service that are remembered
SERVICES: Final = 10_000  # that are watched at most
CROWD: Final = f"more than {MOST} watchers"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the drain of an instance is.

    revision: of its service, at which it became what it is. behind: watchers that may still send.
    in_flight: requests under way, None when the instance has not said so since it was seen that no
    watcher is behind: what was sent just before that is under way. deadline: in the table's time,
    None when it does not drain. overdue: that has passed.
    """

    revision: int
    behind: tuple[str, ...]
    in_flight: int | None
    deadline: float | None
    overdue: bool

    @property
    def safe(self) -> bool:
        """The instance may stop."""
        return self.deadline is not None and not self.behind and self.in_flight == 0


class Watchers:
    """The watchers of one service, by the names that they give themselves."""

    __slots__ = ("_applied", "_crowded")

    def __init__(self) -> None:
        self._crowded = -LIVE  # when there were last too many
        self._applied: dict[str, tuple[int, float]] = {}  # a revision, and when last heard

    def __repr__(self) -> str:
        return f"<Watchers known={len(self._applied)}>"

    def __len__(self) -> int:
        return len(self._applied)

    def __iter__(self) -> Iterator[str]:
        return iter(self._applied)

    def acknowledge(self, watcher: str, revision: int, now: float) -> None:
        """A watcher has applied a revision, or only shows that it lives.

        It never goes back, whatever the order in which its messages come.
        """
        if watcher not in self._applied and len(self._applied) >= MOST:
            self._crowded = now  # nobody is forgotten for another one: he may still send
            return
        before, _ = self._applied.pop(watcher, (-1, now))
        self._applied[watcher] = (max(before, revision), now)

    def leave(self, watcher: str) -> None:
        """A watcher says that it watches no more."""
        self._applied.pop(watcher, None)

    def expire(self, now: float) -> None:
        """Forget who has been silent for too long: the first ones, by the order of last words."""
        silent = takewhile(lambda known: now - known[1][1] >= LIVE, self._applied.items())
        for name in [name for name, _ in silent]:
            del self._applied[name]

    def behind(self, revision: int, now: float) -> tuple[str, ...]:
        """Who of the live ones has not applied `revision` yet."""
        known = self._applied.items()
        late = sorted(n for n, (had, heard) in known if had < revision and now - heard < LIVE)
        if now - self._crowded < LIVE:
            late.append(CROWD)
        return tuple(late)


class Audience:
    """The watchers of all services, also of those that are not there yet: they wait for them."""

    __slots__ = ("_services",)

    def __init__(self) -> None:
        self._services: dict[str, Watchers] = {}

    def __repr__(self) -> str:
        return f"<Audience services={len(self._services)}>"

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Each service and watcher."""
        return ((service, name) for service, known in self._services.items() for name in known)

    def acknowledge(self, service: str, watcher: str, revision: int, now: float) -> None:
        """See Watchers.acknowledge. Raises Crowded: no drain would wait for more services."""
        known = self._services.get(service)
        if known is None:
            if len(self._services) >= SERVICES:
                raise Crowded(SERVICES)
            known = self._services[service] = Watchers()
        known.acknowledge(watcher, revision, now)

    def leave(self, service: str, watcher: str) -> bool:
        """See Watchers.leave. False for a service that nobody watches."""
        known = self._services.get(service)
        if known is not None:
            known.leave(watcher)
        return known is not None

    def expire(self, now: float) -> None:
        """Forget who has been silent for too long, and services that nobody watches."""
        for service in [service for service, known in self._services.items() if not known]:
            del self._services[service]
        for known in self._services.values():
            known.expire(now)

    def behind(self, service: str, revision: int, now: float) -> tuple[str, ...]:
        """See Watchers.behind."""
        known = self._services.get(service)
        return () if known is None else known.behind(revision, now)
