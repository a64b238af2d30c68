"""What a history that began anew has missed, and how it is told. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from uaitools.registry.entry import Entry
from uaitools.registry.events import Beat, Change, Deregister, Drain, Event, Maintain, Register
from uaitools.registry.store.replica import Replica
from uaitools.registry.store.script import BATCH
from uaitools.registry.table import Table

Telling = tuple[Event, int | None]  # with the generation of a registration, None for others


@dataclass(frozen=True, slots=True)
class Amends:
    """What another history has missed that this table knows of."""

    missing: Sequence[Entry] = ()
    left: Sequence[tuple[str, int]] = ()

    def __bool__(self) -> bool:
        return bool(self.missing or self.left)

    def batches(self, now: float) -> Iterator[list[Telling]]:
        """What to tell, each batch when the one before it has been stored."""
        for at in range(0, len(self.missing), BATCH):
            batch = self.missing[at : at + BATCH]
            yield [(_registration(e), e.instance.generation) for e in batch]
            yield [(event, None) for e in batch for event in _standing(e, now)]
        for at in range(0, len(self.left), BATCH):
            yield [(Deregister(*one), None) for one in self.left[at : at + BATCH]]


def _registration(entry: Entry) -> Register:
    """As it registered: it will say the same again, and that has to be known for the same."""
    return Register(replace(entry.registered_as, generation=entry.instance.generation))


def _standing(entry: Entry, now: float) -> list[Event]:
    """What has to be said again of a registration that is told again."""
    name, events, is_, was = entry.instance.id, list[Event](), entry.instance, entry.registered_as
    if (is_.weight, is_.tags, is_.meta) != (was.weight, was.tags, was.meta):
        events.append(Change(name, is_.weight, tuple(sorted(is_.tags)), is_.meta))
    if entry.heard and entry.told is not None:
        events.append(Beat(name, entry.instance.generation, entry.load if entry.told else None))
    if entry.maintenance is not None:
        events.append(Maintain(name, entry.maintenance))
    if entry.drained_by is not None:
        events.append(Drain(name, max(0.0, entry.drained_by - now)))
    return events


def amends(old: Replica, new: Table, began: Mapping[str, int], before: str, base: int) -> Amends:
    """What to tell of, when a table is replaced by one of another epoch.

    began: ids and generations with which the new history began; before, base: that was the table
    of epoch `before` as of entry `base`. Who had gone further in that epoch knows all that was lost
    since; and when another has begun with nothing, whoever has something left tells it everything.
    """
    known = before == old.table.epoch
    if not old.table.epoch or (known and base >= old.seq) or (before and not known):
        return Amends()
    missing = []
    for entry in old.table:
        name, generation = entry.instance.id, entry.instance.generation
        there = new.entries.get(name)
        # Generations of the new history are higher than any of the old one, see LEAP.
        if began.get(name, 0) < generation and (
            there is None or there.instance.generation < generation
        ):
            missing.append(entry)
    left = [
        (entry.instance.id, entry.instance.generation)
        for entry in new
        if known
        and entry.instance.id not in old.table.entries
        and entry.instance.generation <= old.table.generation
    ]
    return Amends(missing, left)
