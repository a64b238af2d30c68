"""Who watches a service, and which of its revisions they have applied.

An instance may stop once nobody sends it anything new and nothing is under way: that is so when
every live watcher has applied the revision that says it drains, and it has nothing in flight.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

LIVE: Final = 45.0  # seconds after its last word in which a watcher counts
MOST: Final = 10_000  # watchers of one service that are remembered
CROWD: Final = f"more than {MOST} watchers"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a drain is.

    behind: watchers that may still send. in_flight: requests under way, None when the instance has
    not said so since it began. overdue: its deadline has passed.
    """

    behind: tuple[str, ...]
    in_flight: int | None
    overdue: bool

    @property
    def safe(self) -> bool:
        """The instance may stop."""
        return not self.behind and self.in_flight == 0


class Watchers:
    """The watchers of one service, by the names that they give themselves."""

    __slots__ = ("_applied", "_crowded")

    def __init__(self) -> None:
        self._crowded = -LIVE  # when there were last too many
        self._applied: dict[str, tuple[int, float]] = {}  # revision, when

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
        before, _ = self._applied.pop(watcher, (0, 0.0))
        self._applied[watcher] = (max(before, revision), now)

    def leave(self, watcher: str) -> None:
        """A watcher says that it watches no more."""
        self._applied.pop(watcher, None)

    def expire(self, now: float) -> None:
        """Forget who has been silent for too long."""
        for name in [name for name, (_, at) in self._applied.items() if now - at >= LIVE]:
            del self._applied[name]

    def behind(self, revision: int, now: float) -> tuple[str, ...]:
        """The live ones that have not applied `revision` yet."""
        late = behind(((name, *known) for name, known in self._applied.items()), revision, now)
        return late if now - self._crowded >= LIVE else (*late, CROWD)


def behind(
    watchers: Iterable[tuple[str, int, float]], revision: int, now: float
) -> tuple[str, ...]:
    """Of watchers with the revision they applied and when they last spoke: who is late."""
    late = (name for name, applied, at in watchers if now - at < LIVE and applied < revision)
    return tuple(sorted(late))
