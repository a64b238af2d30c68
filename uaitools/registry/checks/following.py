"""Which instances this registry checks, and what their checks have found: to be told as events."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from uaitools.registry.checks.checker import Checker
from uaitools.registry.entry import Entry
from uaitools.registry.errors import Stale, Unavailable, Unknown
from uaitools.registry.events import Checked
from uaitools.registry.evidence import Word
from uaitools.registry.model import Instance
from uaitools.tasks import spawn


class Following:
    """Follows those of the table that have checks and are in this registry's share.

    append: has an event happen. share: whether an id is in this registry's share. What cannot be
    stored is kept, the last word of each check, and told at the next `tell`.
    """

    def __init__(
        self,
        append: Callable[[Checked], Awaitable[object]],
        share: Callable[[str], bool],
        workers: int,
    ) -> None:
        self._append = append
        self._share = share
        self._untold: dict[tuple[str, int], Checked] = {}
        self._telling: asyncio.Task[None] | None = None
        self._followed: dict[str, set[str]] = {}  # ids by service
        self.checker = Checker(self._found, workers)

    def __repr__(self) -> str:
        return f"<Following {self.checker!r} untold={len(self._untold)}>"

    def start(self) -> None:
        """Begin to check."""
        self.checker.start()

    async def stop(self) -> None:
        """Check no more."""
        await self.checker.stop()
        if self._telling is not None:
            self._telling.cancel()
            await asyncio.gather(self._telling, return_exceptions=True)

    def update(self, service: str, entries: Iterable[Entry]) -> None:
        """These are the instances of a service now."""
        before = self._followed.get(service, set())
        now = set()
        for entry in entries:
            instance = entry.instance
            if instance.checks and self._share(instance.id):
                now.add(instance.id)
                self.checker.follow(instance)
        for name in before - now:
            self.checker.forget(name)
        if now:
            self._followed[service] = now
        else:
            self._followed.pop(service, None)

    def tell(self) -> None:
        """Tell what is not told yet, unless that is under way."""
        if self._untold and self._telling is None:
            self._telling = spawn(self._tell(), name="tell what checks found")

    def _found(self, instance: Instance, number: int, word: Word, reason: str) -> None:
        event = Checked(instance.id, instance.generation, number, word, reason)
        self._untold[instance.id, number] = event
        self.tell()

    async def _tell(self) -> None:
        try:
            while self._untold:
                key, event = next(iter(self._untold.items()))
                try:
                    await self._append(event)
                except (Unknown, Stale):
                    pass  # it has gone meanwhile
                except Unavailable:
                    return  # at the next tick
                if self._untold.get(key) is event:
                    del self._untold[key]
        finally:
            self._telling = None
