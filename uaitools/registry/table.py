"""The table of registrations: who is there, how they are, and what changes when. Pure.

Every message and every passing of time goes through one Table. Each change that a watcher can see
raises the revision of its service, and of no other, and is kept there as a delta. `now` is
monotonic seconds; generations and revisions are counted here and never reused.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from uaitools.registry.entry import Entry
from uaitools.registry.errors import Stale, Unknown
from uaitools.registry.evidence import State
from uaitools.registry.model import Instance, Load
from uaitools.registry.service import Cause, Listing, Service
from uaitools.registry.watchers import Progress

# More of a fleet than this going silent together is rather our own fault than theirs.
SHARE: Final = 0.15
LEAST: Final = 3
SMALL: Final = 5  # a fleet of fewer has no such protection
LATE: Final = 0.5  # the part of its ttl after which an instance is on its way out
PROTECTION: Final = 600.0  # seconds after which the silent are believed to be gone


@dataclass(frozen=True, slots=True)
class TablePolicy:
    """removal: seconds that an instance may be critical before it is removed."""

    removal: float = 60.0


class Table:
    """All registrations. epoch: another one means that history was lost: list again.

    first: the generation of the first registration; above every one that was given before.
    fresh_until: until when it may not have heard everybody yet, after a restart.
    """

    def __init__(
        self,
        epoch: str,
        first: int = 1,
        *,
        fresh_until: float = 0.0,
        policy: TablePolicy = TablePolicy(),
    ) -> None:
        self.epoch = epoch
        self._fresh_until = fresh_until
        self.policy = policy
        self.services: dict[str, Service] = {}
        self._entries: dict[str, Entry] = {}
        self._next = first
        self._due: list[tuple[float, str, int]] = []

    def __repr__(self) -> str:
        return f"<Table epoch={self.epoch} instances={len(self)} services={len(self.services)}>"

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def get(self, name: str) -> Entry:
        """The instance with that id. Raises Unknown."""
        entry = self._entries.get(name)
        if entry is None:
            raise Unknown(name)
        return entry

    # -- questions --------------------------------------------------------------------------

    def listing(self, service: str, now: float) -> Listing:
        """Who is there of a service."""
        known = self.services.get(service)
        if known is None:
            known = Service(service)
        return known.listing(fresh=now < self._fresh_until)

    def acknowledge(self, service: str, watcher: str, revision: int, now: float) -> None:
        """A watcher has applied a revision of a service; nobody watches what there is not."""
        if service in self.services:
            self.services[service].watchers.acknowledge(watcher, revision, now)

    def progress(self, name: str, now: float) -> Progress:
        """How far the drain of an instance is. Raises Unknown."""
        entry = self.get(name)
        watchers = self._service(entry).watchers
        behind = watchers.behind(entry.revision, now)
        overdue = entry.drained_by is not None and now >= entry.drained_by
        return Progress(behind, entry.load.in_flight, overdue)

    # -- messages ---------------------------------------------------------------------------

    def register(self, wanted: Instance, now: float) -> Entry:
        """Put an instance in, or in place of the one with its id; its generation is set here.

        The same again, as clients send it now and then, is no more than a heartbeat.
        """
        old = self._entries.get(wanted.id)
        if old is not None and replace(wanted, generation=old.instance.generation) == old.instance:
            old.heard(now, None)
            self._settle(old, now)
            return old
        if old is not None and old.instance.name != wanted.name:
            self._drop(old, Cause.DEREGISTERED)
        entry = Entry(replace(wanted, generation=self._next), now)
        self._next += 1
        self._entries[wanted.id] = entry
        service = self.services.setdefault(wanted.name, Service(wanted.name))
        service.put(entry)
        self._look_later(entry, now)
        return entry

    def heartbeat(self, name: str, generation: int, load: Load | None, now: float) -> Entry:
        """An instance is alive. Raises Unknown and Stale."""
        entry = self._current(name, generation)
        entry.heard(now, load)
        self._settle(entry, now)
        return entry

    def deregister(self, name: str, generation: int | None) -> None:
        """Take an instance out, at its own wish. Raises Unknown and Stale."""
        self._drop(self._current(name, generation), Cause.DEREGISTERED)

    def change(self, name: str, **fields: object) -> Entry:
        """Give an instance another weight, tags or meta. Raises Unknown."""
        entry = self.get(name)
        changed = replace(entry.instance, **fields)  # type: ignore[arg-type]
        if changed != entry.instance:
            entry.instance = changed
            self._service(entry).put(entry)
        return entry

    def maintain(self, name: str, reason: str | None, now: float) -> Entry:
        """Take an instance out until further notice, or let it in again. Raises Unknown."""
        entry = self.get(name)
        entry.maintenance = reason
        self._settle(entry, now)
        return entry

    def drain(self, name: str, deadline: float, now: float) -> Entry:
        """Have nothing new sent to an instance. Raises Unknown."""
        entry = self.get(name)
        entry.drained_by = deadline
        self._settle(entry, now)
        return entry

    def checked(
        self, name: str, generation: int, number: int, failure: str, now: float, *, weak: bool
    ) -> None:
        """What a check has heard: '' or why it failed. weak: 429. Raises Unknown and Stale."""
        entry = self._current(name, generation)
        probe = entry.probes[number]
        probe.weak = weak
        probe.record.note(failure, probe.policy, now)
        self._settle(entry, now)

    def observed(self, name: str, reason: str, now: float) -> None:
        """What proxies see of an instance: '' or what is wrong with it. Raises Unknown."""
        entry = self.get(name)
        entry.observed(reason, now)
        self._settle(entry, now)

    # -- time -------------------------------------------------------------------------------

    def next_due(self) -> float | None:
        """When `advance` has something to do next."""
        return self._due[0][0] if self._due else None

    def advance(self, now: float) -> None:
        """Let time pass: judge whoever it may have changed, remove who has been gone for long."""
        silent: dict[tuple[str, str | None], int] = {}
        while self._due and self._due[0][0] <= now:
            _, name, generation = heapq.heappop(self._due)
            entry = self._entries.get(name)
            if entry is None or entry.instance.generation != generation:
                continue
            removal = entry.since + self.policy.removal
            if entry.state is State.CRITICAL and now >= removal:
                self._drop(entry, Cause.EXPIRED)
                continue
            self._protect(entry, now, silent)
            self._settle(entry, now)

    def _protect(self, entry: Entry, now: float, silent: dict[tuple[str, str | None], int]) -> None:
        """Hold silence against nobody when too many went silent together."""
        entry.protected = ""
        if entry.silent_for(now) < 1.0:
            return
        expires = entry.expires
        assert expires is not None
        if now - expires > PROTECTION:
            return
        service = self._service(entry)
        for zone in (None, entry.instance.zone):
            key = (service.name, zone)
            if key not in silent:
                silent[key] = sum(other.silent_for(now) > LATE for other in service.of(zone))
            size = sum(1 for _ in service.of(zone))
            if size >= SMALL and silent[key] >= LEAST and silent[key] > SHARE * size:
                where = f"zone {zone}" if zone else "the service"
                entry.protected = f"{silent[key]} of {size} in {where} went silent together"
                return

    # -- inside -----------------------------------------------------------------------------

    def _current(self, name: str, generation: int | None) -> Entry:
        entry = self.get(name)
        if generation is not None and generation != entry.instance.generation:
            raise Stale(name, entry.instance.generation)
        return entry

    def _service(self, entry: Entry) -> Service:
        return self.services[entry.instance.name]

    def _settle(self, entry: Entry, now: float) -> None:
        if entry.settle(now):
            self._service(entry).put(entry)
        self._look_later(entry, now)

    def _look_later(self, entry: Entry, now: float) -> None:
        due = entry.next_look(now, self.policy.removal)
        if due is not None and (entry.due is None or due < entry.due or entry.due <= now):
            entry.due = due
            heapq.heappush(self._due, (due, entry.instance.id, entry.instance.generation))

    def _drop(self, entry: Entry, cause: Cause) -> None:
        del self._entries[entry.instance.id]
        self._service(entry).remove(entry, cause)
