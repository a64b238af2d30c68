"""Who wants to know when a service changes, and nobody else is woken."""

from __future__ import annotations

from collections.abc import Callable, Iterable

Bell = Callable[[], None]


class Bells:
    """Callbacks by service. A callback must not block, nor raise."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: dict[str, dict[Bell, None]] = {}

    def __repr__(self) -> str:
        return f"<Bells services={len(self._waiting)} waiting={len(self)}>"

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def hang(self, service: str, bell: Bell) -> None:
        """Ring `bell` at each change of a service from now on."""
        self._waiting.setdefault(service, {})[bell] = None

    def take_down(self, service: str, bell: Bell) -> None:
        """Ring it no more."""
        waiting = self._waiting.get(service, {})
        waiting.pop(bell, None)
        if not waiting:
            self._waiting.pop(service, None)

    def ring(self, services: Iterable[str]) -> None:
        """These have changed."""
        for service in services:
            for bell in tuple(self._waiting.get(service, ())):
                bell()

    def ring_all(self) -> None:
        """Everything may have changed."""
        self.ring(tuple(self._waiting))
