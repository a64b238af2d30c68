"""The table of registrations: who is there, how they are, and what changes when. Pure.

Every change goes through `Table.apply`, one event after the other, each with its time. A change
that a watcher can see raises the revision of its service, and of no other, and is kept there as a
delta. Time passes the same however often one looks: the same events make the same table.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, assert_never

from uaitools.registry.entry import Entry
from uaitools.registry.errors import Full, Stale, Unknown
from uaitools.registry.events import (
    Beat,
    Change,
    Checked,
    Deregister,
    Drain,
    Event,
    Maintain,
    Observed,
    Pass,
    Register,
    Silence,
    Wall,
)
from uaitools.registry.evidence import State
from uaitools.registry.model import Instance
from uaitools.registry.protection import PROTECTION
from uaitools.registry.service import Cause, Listing, Service

# Seconds after which everybody who lives has been heard of: clients register again every minute.
FRESH: Final = 75.0
WALLS: Final = 64  # jumps between the table's time and that on walls that are remembered
EMPTY: Final = 1000  # services without an instance that are remembered, and why they are empty


@dataclass(frozen=True, slots=True)
class TablePolicy:
    """removal: seconds that an instance may be critical. instances: how many there may be."""

    removal: float = 60.0
    instances: int = 50_000


DEFAULTS: Final = TablePolicy()


class Table:
    """All registrations.

    epoch: another one means that history was lost: list again. fresh_until: until when it has not
    heard everybody yet, after beginning anew. now: the time of the last event. touched: services
    that have changed; emptied by who tells their watchers.
    """

    def __init__(
        self,
        epoch: str,
        *,
        now: float = 0.0,
        fresh_until: float = 0.0,
        policy: TablePolicy = DEFAULTS,
    ) -> None:
        self.epoch = epoch
        self.now = now
        self.fresh_until = fresh_until
        self.policy = policy
        self.services: dict[str, Service] = {}
        self.entries: dict[str, Entry] = {}
        self.touched: set[str] = set()
        self.generation = 0  # the highest that was given
        self.floor = 0  # the highest revision of a service that was forgotten
        self.walls: list[tuple[float, float]] = []  # since when clocks on walls are how far ahead
        self._empty: dict[str, None] = {}  # in the order in which they became so
        self._due: list[tuple[float, str, int]] = []

    def __repr__(self) -> str:
        return f"<Table epoch={self.epoch} instances={len(self)} services={len(self.services)}>"

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries.values())

    # -- questions --------------------------------------------------------------------------

    def get(self, name: str, generation: int | None = None) -> Entry:
        """The instance with that id. Raises Unknown, and Stale when it has another generation."""
        entry = self.entries.get(name)
        if entry is None:
            raise Unknown(name)
        if generation is not None and generation != entry.instance.generation:
            raise Stale(name, entry.instance.generation)
        return entry

    def same(self, wanted: Instance) -> Entry | None:
        """The registration that says the same as `wanted`, whatever its generation."""
        entry = self.entries.get(wanted.id)
        if entry is None:
            return None
        had = entry.registered_as
        return entry if replace(wanted, generation=had.generation) == had else None

    def listing(self, service: str) -> Listing:
        """Who is there of a service."""
        return self._known(service).listing(fresh=self.now < self.fresh_until)

    def authoritative(self, service: str) -> bool:
        """Whether the list of a service is to be believed, see Listing."""
        return self._known(service).authoritative(fresh=self.now < self.fresh_until)

    def _known(self, service: str) -> Service:
        known = self.services.get(service)
        return Service(service) if known is None else known

    def wall(self, at: float) -> float | None:
        """What clocks on walls showed at a moment, in unix seconds; None if that is not known.

        The table's time stands still while nobody watches it, and they do not.
        """
        if not self.walls:
            return None
        number = bisect_right(self.walls, at, key=lambda known: known[0])
        return at + self.walls[max(0, number - 1)][1]

    def next_due(self) -> float | None:
        """When time has something to do next: beginning anew ends, too."""
        due = self._due[0][0] if self._due else None
        if self.now < self.fresh_until:
            due = self.fresh_until if due is None else min(due, self.fresh_until)
        return due

    def remember(self, service: Service) -> None:
        """Put back a service as a snapshot has it, before its instances."""
        self.services[service.name] = service
        self._empty[service.name] = None

    def restore(self, entry: Entry) -> None:
        """Put back an instance as a snapshot has it."""
        self.entries[entry.instance.id] = entry
        self._service(entry).restore(entry)
        self._empty.pop(entry.instance.name, None)
        if entry.due is not None:
            heapq.heappush(self._due, (entry.due, entry.instance.id, entry.instance.generation))

    # -- events -----------------------------------------------------------------------------

    def apply(self, event: Event, now: float) -> Entry | None:
        """Let time pass until `now`, then have an event happen; the instance that it was about.

        Raises Unknown, Stale and Full, and then nothing has happened but time.
        """
        self._advance(now)
        match event:
            case Register(instance):
                return self._register(instance)
            case Deregister(name, generation):
                self._drop(self.get(name, generation), Cause.DEREGISTERED)
                return None
            case Change():
                return self._change(event)
            case Pass():
                return None
            case Wall(shift):
                self.walls.append((now, shift))
                del self.walls[:-WALLS]
                return None
            case Maintain() | Drain() | Beat() | Silence() | Checked() | Observed():
                entry = self.get(event.id, event.generation)
            case _:
                assert_never(event)
        entry.happen(event, now)
        self._settle(entry, now)
        return entry

    def _register(self, wanted: Instance) -> Entry:
        old = self.entries.get(wanted.id)
        if old is None and len(self.entries) >= self.policy.instances:
            raise Full(self.policy.instances)
        self.generation = max(self.generation, wanted.generation)
        same = self.same(wanted)
        if same is not None:
            same.hear(heard=True, now=self.now)
            self._settle(same, self.now)
            return same
        entry = Entry(wanted, self.now)
        if wanted.ttl and not wanted.checks:
            # Who registers lives; where there are checks, they or a heartbeat have the first word.
            entry.hear(heard=True, now=self.now)
        if old is not None:
            entry.follow(old, self.now)
            if old.instance.name != wanted.name:
                self._drop(old, Cause.DEREGISTERED)
        self.entries[wanted.id] = entry
        service = self.services.get(wanted.name)
        if service is None:
            service = self.services[wanted.name] = Service(wanted.name, self.floor)
        self._empty.pop(wanted.name, None)
        entry.settle(self.now)
        self._put(entry)
        self._look_later(entry)
        return entry

    def _change(self, event: Change) -> Entry:
        entry = self.get(event.id, event.generation)
        had = entry.instance
        changed = replace(
            had,
            weight=had.weight if event.weight is None else event.weight,
            tags=had.tags if event.tags is None else frozenset(event.tags),
            meta=had.meta if event.meta is None else event.meta,
        )
        if changed != had:
            entry.instance = changed
            self._put(entry)
        return entry

    # -- time -------------------------------------------------------------------------------

    def _advance(self, now: float) -> None:
        """Let time pass: judge whoever it may have changed, remove who has been gone for long.

        Each at its own time, so that it does not matter how often one looks.
        """
        while self._due and self._due[0][0] <= now:
            at, name, generation = heapq.heappop(self._due)
            entry = self.entries.get(name)
            if entry is None or entry.instance.generation != generation or entry.due != at:
                continue
            self.now = at
            entry.due = None
            removed = entry.removed_at(self.policy.removal)
            if removed is not None and removed <= at:
                self._drop(entry, Cause.EXPIRED)
                continue
            if entry.protected:
                self._protect_again(entry)
            self._settle(entry, at)
        self.now = now

    def _protect_again(self, entry: Entry) -> None:
        """Believe that an instance is bad once others are no longer bad with it."""
        bad_for = self.now - (entry.bad_since if entry.bad_since is not None else self.now)
        if bad_for > PROTECTION:
            entry.protected = ""
        elif bad_for > entry.instance.ttl:  # by then those who were on their way are, too
            entry.protected = self._service(entry).fleet.protection(entry.instance.zone)

    def _protect(self, entry: Entry) -> None:
        """Hold nothing against anybody when too many of a service have become critical."""
        service = self._service(entry)
        if not service.fleet.protection(entry.instance.zone):
            return
        for other in service.critical():
            reason = service.fleet.protection(other.instance.zone)
            if reason and other.bad_since is not None and self.now - other.bad_since <= PROTECTION:
                other.protected = reason
                self._settle(other, self.now)

    def _settle(self, entry: Entry, now: float) -> None:
        changed = entry.settle(now)
        self._service(entry).recount(entry)
        if changed:
            self._put(entry)
            if entry.state is State.CRITICAL:
                self._protect(entry)
        self._look_later(entry)

    def _look_later(self, entry: Entry) -> None:
        due = entry.next_look(self.now, self.policy.removal)
        if due != entry.due:
            entry.due = due
            if due is not None:
                heapq.heappush(self._due, (due, entry.instance.id, entry.instance.generation))

    # -- services ---------------------------------------------------------------------------

    def _service(self, entry: Entry) -> Service:
        return self.services[entry.instance.name]

    def _put(self, entry: Entry) -> None:
        self._service(entry).put(entry, self.now)
        self.touched.add(entry.instance.name)

    def _drop(self, entry: Entry, cause: Cause) -> None:
        del self.entries[entry.instance.id]
        service = self._service(entry)
        service.remove(entry, cause, self.now)
        self.touched.add(service.name)
        if not service:
            self._empty[service.name] = None
            # A snapshot has the services in this order: those that are empty as they became so.
            self.services[service.name] = self.services.pop(service.name)
            if len(self._empty) > EMPTY:
                self._forget(self._least_missed())

    def _least_missed(self) -> str:
        """The empty service whose being forgotten tells the least lies: expired ones go last."""
        left = (n for n in self._empty if self.services[n].gone is not Cause.EXPIRED)
        return next(left, next(iter(self._empty)))

    def _forget(self, name: str) -> None:
        """Remember nothing of a service; a later one of that name goes on above its revision."""
        del self._empty[name]
        self.floor = max(self.floor, self.services.pop(name).revision)
