"""A table and its leases, driven by a clock of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from uaitools.registry.entry import Entry
from uaitools.registry.events import (
    Beat,
    Change,
    Checked,
    Deregister,
    Drain,
    Maintain,
    Observed,
    Pass,
    Register,
)
from uaitools.registry.evidence import Word
from uaitools.registry.leases import Leases, news, silences
from uaitools.registry.model import Instance, Load
from uaitools.registry.service import Cause, Service
from uaitools.registry.table import Table


class Rows:
    """What a store and a registry do, without their I/O. Time passes second by second."""

    def __init__(self, table: Table | None = None, now: float = 0.0) -> None:
        self.table = table if table is not None else Table("epoch", now=now)
        self.leases = Leases()
        self.now = now

    def __len__(self) -> int:
        return len(self.table)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.table)

    @property
    def services(self) -> dict[str, Service]:
        return self.table.services

    def get(self, name: str) -> Entry:
        return self.table.get(name)

    def register(self, wanted: Instance, now: float) -> Entry:
        self.advance(now)
        generation = self.table.generation + 1
        entry = self.table.apply(Register(replace(wanted, generation=generation)), now)
        assert entry is not None
        self._renew(entry, now)
        return entry

    def heartbeat(self, name: str, generation: int, load: Load | None, now: float) -> Entry:
        self.advance(now)
        entry = self.table.get(name, generation)
        self._renew(entry, now)
        self.table.apply(Beat(name, generation, load), now)
        return entry

    def deregister(self, name: str, generation: int | None, now: float | None = None) -> None:
        self.table.apply(Deregister(name, generation), self.now if now is None else now)

    def change(self, name: str, weight: int) -> None:
        self.table.apply(Change(name, weight=weight), self.now)

    def maintain(self, name: str, reason: str | None, now: float) -> None:
        self.advance(now)
        self.table.apply(Maintain(name, reason), now)

    def drain(self, name: str, within: float | None, now: float) -> None:
        self.advance(now)
        self.table.apply(Drain(name, within), now)

    def checked(self, name: str, generation: int, word: Word, now: float) -> None:
        self.advance(now)
        reason = "is refused" if word is Word.BAD else "passes"
        self.table.apply(Checked(name, generation, 0, word, reason), now)

    def observed(self, name: str, word: Word, now: float) -> None:
        self.advance(now)
        generation = self.table.get(name).instance.generation
        self.table.apply(Observed(name, generation, word, "5xx"), now)

    def empty(self, service: str, now: float) -> tuple[bool, Cause | None]:
        self.advance(now)
        listing = self.table.listing(service)
        assert listing.entries == ()
        return listing.authoritative, listing.cause

    def advance(self, now: float) -> None:
        """Look once a second until `now`."""
        while self.now < now:
            self.now = min(self.now + 1.0, now) if now - self.now < 3600 else now
            overdue = news(self.table, self.leases.overdue(self.now))
            left = self.leases.left(self.table.entries, self.now)
            for event in silences(self.table, overdue, left):
                self.table.apply(event, self.now)
            self.table.apply(Pass(), self.now)
            self.leases.keep(self.table.entries)

    def _renew(self, entry: Entry, now: float) -> None:
        instance = entry.instance
        self.leases.renew(instance.id, instance.generation, instance.ttl, now)
