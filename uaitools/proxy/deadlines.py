"""The requests and hooks that have to be over by a certain time, whatever they wait for.

A request without such a time is never in here and pays an attribute test. One that has it costs
an entry, looked at with the sweep: a timer would cost 2 us, and most of them would be cancelled.
"""

from __future__ import annotations

from typing import Protocol


class Bounded(Protocol):
    """An exchange with a deadline for the whole of it, or the hooks of one."""

    def overdue(self, now: float) -> None:
        """The deadline has passed."""


class Deadlines:
    """Exchanges under way by their deadlines, monotonic; `expire` is a hook of the sweep."""

    __slots__ = ("_due",)

    def __init__(self) -> None:
        self._due: dict[Bounded, float] = {}

    def __repr__(self) -> str:
        return f"<Deadlines open={len(self._due)}>"

    def __len__(self) -> int:
        return len(self._due)

    def add(self, exchange: Bounded, due: float) -> None:
        """Have `exchange` end by `due`."""
        self._due[exchange] = due

    def discard(self, exchange: Bounded) -> None:
        """`exchange` is over."""
        self._due.pop(exchange, None)

    def left(self, exchange: Bounded, now: float) -> float:
        """Seconds that `exchange` has, negative when its deadline has passed."""
        return self._due[exchange] - now

    def expire(self, now: float) -> None:
        """End what is due; collected first, because one's end can be another's."""
        for exchange in [exchange for exchange, due in self._due.items() if due <= now]:
            if self._due.pop(exchange, None) is not None:
                exchange.overdue(now)
