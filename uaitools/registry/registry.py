"""The registry: messages and time in, changes of the table out. What servers and tests stand on."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from time import time
from types import TracebackType
from typing import Final, Self

from uaitools.log import get_logger
from uaitools.registry.bells import Bells
from uaitools.registry.checks.checker import WORKERS
from uaitools.registry.checks.following import Following
from uaitools.registry.entry import OBSERVED, Entry
from uaitools.registry.errors import Stale, Unavailable, Unknown
from uaitools.registry.events import (
    Beat,
    Change,
    Deregister,
    Drain,
    Event,
    Maintain,
    Observed,
    Pass,
    Register,
    Wall,
)
from uaitools.registry.evidence import State, Word
from uaitools.registry.leases import Lease, news, silences
from uaitools.registry.model import Instance, Load
from uaitools.registry.observation import Observation
from uaitools.registry.sightings import Sightings
from uaitools.registry.store.port import Store
from uaitools.registry.table import Table
from uaitools.registry.watchers import Progress
from uaitools.tasks import spawn

TICK: Final = 1.0  # seconds
STEADY: Final = 1.0  # seconds by which clocks may differ that are right
# States in which it counts that somebody sees an instance work.
DOUBTED: Final = (State.SUSPECT, State.CRITICAL)
_log = get_logger(__name__)


@dataclass(slots=True)
class Counts:
    """What has happened here, for metrics. unstored: events that could not be stored."""

    heartbeats: int = 0
    events: int = 0
    unstored: int = 0


class Registry:
    """A registry over a store.

        async with Registry(EmbeddedStore(directory)) as registry:
            entry = await registry.register(instance)

    bells: wakes who waits for changes of a service. check_workers: active checks under way at
    once.
    """

    def __init__(self, store: Store, *, check_workers: int = WORKERS) -> None:
        self.store = store
        self.following = Following(self.append, store.share, check_workers)
        self.bells = Bells()
        self.counts = Counts()
        self._sightings = Sightings()
        self._alone: dict[str, tuple[tuple[int, int], float]] = {}  # drained: since when, as what
        self._sharing = store.sharing
        self._sure = False
        self._epoch = ""
        self._task: asyncio.Task[None] | None = None
        store.changed = self._changed

    def __repr__(self) -> str:
        return f"<Registry {self.store!r} {self.bells!r}>"

    @property
    def table(self) -> Table:
        """All registrations as of now."""
        return self.store.table

    @property
    def sure(self) -> bool:
        """Whether this registry has heard of everybody, and of all that was stored."""
        return self.store.current and self.table.now >= self.table.fresh_until

    def authoritative(self, service: str) -> bool:
        """Whether the list of a service is to be believed: see Listing, and all that was stored."""
        return self.store.current and self.table.authoritative(service)

    def find(self, name: str, generation: int | None = None) -> Entry:
        """See Table.get. Raises Unavailable while it is not known who was there before."""
        if name not in self.table.entries and not self.store.current:
            raise Unavailable(self.store.failing or "what was registered is not known yet")
        return self.table.get(name, generation)

    # -- life -------------------------------------------------------------------------------

    async def start(self) -> None:
        """Take up where the store stopped, and let time pass. Raises StoreError."""
        await self.store.start()
        self._follow(self.table.services)
        self.following.start()
        with suppress(Unavailable):  # then at a tick
            await self._look_at_the_wall()
        self._task = spawn(self._tick_for_ever(), name="registry ticks")

    async def stop(self) -> None:
        """Let time stop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self.following.stop()
        await self.store.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    # -- messages of instances --------------------------------------------------------------

    async def register(self, wanted: Instance) -> Entry:
        """Put an instance in, or in place of the one with its id.

        The same again, as clients send it now and then, is no more than a heartbeat. Raises Full
        and Unavailable.
        """
        same = self.table.same(wanted)
        if same is not None:
            self._renew(same)
            if same.heard is True or self.store.failing:
                return same  # what cannot be stored now is told with a later heartbeat
        return await self._happen(Register(wanted))

    async def heartbeat(self, name: str, generation: int, load: Load | None) -> Entry:
        """An instance is alive. Raises Unknown, Stale and Unavailable."""
        entry = self.find(name, generation)
        event = self.hear(entry, load)
        return entry if event is None else await self._happen(event)

    def hear(self, entry: Entry, load: Load | None) -> Beat | None:
        """An instance is alive; the event to append where that changes what is known of it."""
        lease = self._renew(entry)
        lease.load = load if load is not None else lease.load
        if self.store.failing or (entry.heard is True and not _worth_telling(entry, load)):
            return None  # what cannot be stored now is told with a later heartbeat
        return Beat(entry.instance.id, entry.instance.generation, load)

    def _renew(self, entry: Entry) -> Lease:
        self.counts.heartbeats += 1
        return self.store.renew(entry)

    async def deregister(self, name: str, generation: int | None) -> None:
        """Take an instance out, at its own wish. Raises Unknown, Stale and Unavailable."""
        self.find(name, generation)
        await self.append(Deregister(name, generation))

    # -- messages of operators --------------------------------------------------------------

    async def change(
        self,
        name: str,
        *,
        weight: int | None = None,
        tags: Iterable[str] | None = None,
        meta: Mapping[str, str] | None = None,
        generation: int | None = None,
    ) -> Entry:
        """Give an instance another weight, tags or meta.

        generation: only if it still is this registration. Raises Unknown, Stale and Unavailable.
        """
        self.find(name, generation)
        kept = None if tags is None else tuple(sorted(tags))
        return await self._happen(Change(name, weight, kept, meta, generation))

    async def maintain(self, name: str, reason: str | None, generation: int | None = None) -> Entry:
        """Take an instance out until further notice, or let it in again. As `change`."""
        entry = self.find(name, generation)
        if entry.maintenance == reason:
            return entry
        return await self._happen(Maintain(name, reason, generation))

    async def drain(self, name: str, within: float | None, generation: int | None = None) -> Entry:
        """Have nothing new sent to an instance; None: have it sent again. As `change`.

        within: seconds after which the drain counts as overdue.
        """
        entry = self.find(name, generation)
        if within is None and entry.drained_by is None:
            return entry
        return await self._happen(Drain(name, within, generation))

    async def progress(self, name: str) -> Progress:
        """How far the drain of an instance is. Raises Unknown."""
        while True:
            entry = self.find(name)
            revision = entry.revision
            behind = await self.store.behind(entry.instance.name, revision, entry.revised)
            if self.table.entries.get(name) is entry and entry.revision == revision:
                break  # else it has changed meanwhile, and who is behind is another question
        now, deadline = self.store.now(), entry.drained_by
        overdue = deadline is not None and now >= deadline
        in_flight = entry.in_flight(self._alone_since(entry, behind, now), now)
        return Progress(revision, behind, in_flight, deadline, overdue)

    def _alone_since(self, entry: Entry, behind: Collection[str], now: float) -> float:
        """When it was first seen that nobody sends to an instance any more; never, if somebody may.

        Not when the last watcher applied it: those of a chatty service go on applying, and one
        that has just left may have sent something.
        """
        name, which = entry.instance.id, (entry.instance.generation, entry.revision)
        if behind:
            self._alone.pop(name, None)
            return inf
        if self._alone.get(name, (None, 0.0))[0] != which:
            self._alone[name] = (which, now)
        return self._alone[name][1]

    # -- messages of watchers ---------------------------------------------------------------

    def acknowledge(self, service: str, watcher: str, index: int, epoch: str | None) -> None:
        """A watcher has applied a revision of a service, or only shows that it lives.

        Of another epoch it has applied nothing that counts here, and of this one nothing that has
        not happened yet: a drain must not be called safe for a number.
        """
        known = self.table.services.get(service)
        counts = known is not None and epoch == self.table.epoch
        highest = known.revision if known is not None and counts else 0
        self.store.acknowledge(service, watcher, min(index, highest))

    async def observe(self, witness: str, observations: Iterable[Observation]) -> None:
        """What a proxy has seen since it last said so; of instances that are gone, nothing.

        Raises Unavailable.
        """
        now = self.store.now()
        usual: dict[str, float | None] = {}  # by service: looked up once for each
        for one in observations:
            entry = self.table.entries.get(one.id)
            if entry is None or entry.instance.generation != one.generation:
                continue
            service = entry.instance.name
            if service not in usual:
                ids = (e.instance.id for e in self.table.services[service])
                usual[service] = self._sightings.usual(ids, now)
            said = self._sightings.note(one, witness, usual[service], now)
            if _worth_keeping(entry, said.word, now):
                with suppress(Unknown, Stale):  # it has gone meanwhile; there are others
                    await self.append(Observed(one.id, one.generation, said.word, said.reason))

    # -- time -------------------------------------------------------------------------------

    async def tick(self) -> None:
        """Judge whoever was silent for too long, and let time do what is due."""
        store = self.store
        self._sightings.keep(self.table.entries)
        entries = self.table.entries
        for name in [n for n in self._alone if n not in entries or not entries[n].drains]:
            del self._alone[name]
        self.following.tell()
        if self.sure != self._sure:  # what lists say of themselves is another thing now
            self._sure = self.sure
            self.bells.ring_all()
        if store.sharing != self._sharing:  # registries have come or gone
            self._sharing = store.sharing
            self._follow(tuple(self.table.services))
        overdue = news(self.table, await store.beat())
        if overdue:
            names = {self.table.entries[name].instance.name for name, _ in overdue}
            concerned = [e.instance.id for name in names for e in self.table.services[name]]
            left = await store.left(concerned)
            for event in silences(self.table, news(self.table, overdue), left):
                with suppress(Unknown, Stale):  # it has gone meanwhile; there are others
                    await self.append(event)
        await self._look_at_the_wall()
        due = self.table.next_due()
        if due is not None and due <= store.now():
            await self.append(Pass())

    async def _look_at_the_wall(self) -> None:
        """Note how far the clock on the wall is ahead, when that has changed."""
        shift = time() - self.store.now()
        known = self.table.walls[-1][1] if self.table.walls else None
        if (known is None or abs(shift - known) > STEADY) and self.store.share("wall"):
            await self.append(Wall(shift))

    async def _tick_for_ever(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            try:
                await self.tick()
            except Unavailable:
                pass  # the store has said why, and is asked again
            except Exception:
                # Instances would never expire again: better to go on and say so each time.
                _log.exception("a tick failed")

    # -- inside -----------------------------------------------------------------------------

    async def append(self, event: Event) -> Entry | None:
        """Have an event happen; see Store.append."""
        try:
            entry = await self.store.append(event)
        except Unavailable:
            self.counts.unstored += 1
            raise
        self.counts.events += 1
        return entry

    async def _happen(self, event: Event) -> Entry:
        """One that is about an instance which is there, then and afterwards."""
        entry = await self.append(event)
        assert entry is not None
        return entry

    def _changed(self) -> None:
        if self.table.epoch != self._epoch:  # history was lost, also that of unknown services
            self._epoch = self.table.epoch
            self.bells.ring_all()
        touched = self.table.touched
        if touched:
            self.table.touched = set()
            self._follow(touched)
            self.bells.ring(touched)

    def _follow(self, services: Iterable[str]) -> None:
        """Check those who are there now."""
        for name in services:
            self.following.update(name, self.table.services.get(name, ()))


def _worth_keeping(entry: Entry, word: Word, now: float) -> bool:
    """Whether what proxies say changes anything, or is about to be forgotten."""
    standing = entry.sight.word if now < entry.sight.until else Word.NOTHING
    if word is Word.NOTHING:  # who saw it work before no longer does
        return standing is Word.GOOD and entry.state in DOUBTED
    if word is standing:
        return entry.sight.until - now < OBSERVED / 2 and (
            word is not Word.GOOD or entry.state in DOUBTED
        )
    return word is not Word.GOOD or standing is not Word.NOTHING or entry.state in DOUBTED


def _worth_telling(entry: Entry, load: Load | None) -> bool:
    """Whether others must know of a heartbeat: that it tells its load, or that somebody waits."""
    if entry.told is None:
        return True  # from now on a drain knows whether to wait for what it says
    if load is None:
        return False
    return not entry.told or entry.drains
