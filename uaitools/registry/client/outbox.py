"""What a watcher has to say to the registry and has not sent yet. Pure.

It holds states and no queue: however slowly the registry reads, there is at most one of each kind
for a service, and one sum for an instance.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from uaitools.registry.client.messages import applied, observed, unwatch, watch
from uaitools.registry.observation import Observation

OBSERVED: Final = 10_000  # instances whose observations wait at most; those of more are dropped
_BATCH: Final = 500  # observations in one message


class Outbox:
    """Messages to send, collected."""

    __slots__ = ("_applied", "_observed", "_unwatched", "_watched")

    def __init__(self) -> None:
        self._unwatched: dict[str, None] = {}
        self._watched: dict[str, None] = {}
        self._applied: dict[str, tuple[int, str]] = {}
        self._observed: dict[tuple[str, int], Observation] = {}

    def __repr__(self) -> str:
        counts = f"watch={len(self._watched)} applied={len(self._applied)}"
        return f"<Outbox {counts} observed={len(self._observed)}>"

    def watch(self, service: str) -> None:
        """Ask for a list and what follows."""
        self._watched[service] = None

    def unwatch(self, service: str) -> None:
        """Ask for no more."""
        self._watched.pop(service, None)
        self._applied.pop(service, None)
        self._unwatched[service] = None

    def applied(self, service: str, index: int, epoch: str) -> None:
        """Acknowledge a revision; a later one takes its place."""
        self._applied[service] = (index, epoch)

    def observed(self, observations: Iterable[Observation]) -> None:
        """Report what was seen."""
        for one in observations:
            key = one.id, one.generation
            before = self._observed.get(key)
            if before is not None:
                self._observed[key] = before.plus(one)
            elif len(self._observed) < OBSERVED:
                self._observed[key] = one

    def take(self) -> list[str]:
        """All of it, in the order in which it has to be said; what was taken is gone."""
        seen = list(self._observed.values())
        texts = [
            *(unwatch(service) for service in self._unwatched),
            *(watch(service) for service in self._watched),
            *(applied(service, *place) for service, place in self._applied.items()),
            *(observed(seen[at : at + _BATCH]) for at in range(0, len(seen), _BATCH)),
        ]
        self.clear()
        return texts

    def clear(self) -> None:
        """Forget it: the connection that it was for has gone."""
        for kept in (self._unwatched, self._watched, self._applied, self._observed):
            kept.clear()
