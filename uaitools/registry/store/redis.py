"""The store of registries that share a Redis: one log, one clock, one set of leases.

    append          Redis puts the event into the log, in one step with its lease; the follower of
                    every registry applies it, and here tells who waits for it
    renew           noted, and told with the next beat, all in one call
    acknowledge     noted, and told within a moment, since a drain may wait for it
    beat            every second: heartbeats, a sign of life; answers whose lease is over

While Redis is away the table is read as ever, heartbeats are noted, changes are refused, and nobody
is judged. What could not be told is told when it is back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterable
from hashlib import blake2b
from time import monotonic
from typing import Any, Final
from uuid import uuid4

import orjson

from uaitools.log import get_logger
from uaitools.registry.clock import EchoedClock
from uaitools.registry.entry import Entry
from uaitools.registry.errors import Unavailable
from uaitools.registry.events import (
    Beat,
    Deregister,
    Drain,
    Event,
    Maintain,
    Pass,
    Register,
    Silence,
    encode,
)
from uaitools.registry.leases import Lease, Leases
from uaitools.registry.model import Instance
from uaitools.registry.store.appends import BATCH, WAITING, Appends, Ask
from uaitools.registry.store.follower import Follower
from uaitools.registry.store.health import Health
from uaitools.registry.store.link import LARGE, Answer, Argument, Away, Link
from uaitools.registry.store.port import StoreError
from uaitools.registry.store.replica import Amends, Outcome, Replica
from uaitools.registry.store.script import (
    APPEND,
    APPLIED,
    BEAT,
    GONE,
    KEEP,
    LATE,
    LEAVE,
    PREFIX,
    SECOND,
)
from uaitools.registry.table import DEFAULTS, Table, TablePolicy
from uaitools.registry.watchers import Audience
from uaitools.tasks import spawn

LAG: Final = 2.0  # seconds by which a heartbeat may reach Redis later than us
PATIENCE: Final = 5.0  # seconds that a change may take, Redis coming back included
SOON: Final = 0.05  # seconds in which acknowledgements are gathered
CHUNK: Final = 2000  # leases or acknowledgements told in one call
ENTRIES: Final = 2000  # of the log, or twice as many as instances: then a snapshot is due
FILL: Final = 30  # beats after which leases that were lost are put back
ELSEWHERE: Final = "watchers of other registries"
_log = get_logger(__name__)


class RedisStore:
    """The table of all registries that use the Redis at `url`. A Store."""

    def __init__(self, url: str, *, policy: TablePolicy = DEFAULTS) -> None:
        self.name = uuid4().hex[:16]
        self._policy = policy
        self._link = Link(url)
        self._follower = Follower(Link(url), policy, self)
        self._appends = Appends(self.name)
        self._health = Health(monotonic())
        self._clock = EchoedClock(0.0, monotonic())
        self._leases = Leases()
        self._renewed: dict[bytes, float] = {}  # members and their ttl, to be told
        self._stray: list[bytes] = []  # members of whom the table knows nothing
        self._audience = Audience()
        self._applied: dict[tuple[str, str], int | None] = {}  # to be told
        self._telling = asyncio.Lock()
        self._present: tuple[str, ...] = (self.name,)
        self._beats = 0
        self._kept = 0  # entry up to which the snapshot goes
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stopped = False
        self.changed: Callable[[], None] = lambda: None

    def __repr__(self) -> str:
        return f"<RedisStore {self.name} {self._follower!r} {self._appends!r} {self._health!r}>"

    @property
    def table(self) -> Table:
        """See Store."""
        return self._follower.replica.table

    @property
    def failing(self) -> str:
        """See Store."""
        return self._health.reason

    @property
    def current(self) -> bool:
        """See Store."""
        return self._follower.replica.seq > 0 and not self._health.reason

    @property
    def adrift(self) -> bool:
        """See Store.adrift."""
        return self._health.away(monotonic()) >= GONE / 2

    # -- life -------------------------------------------------------------------------------

    async def start(self) -> None:
        """See Store.start. A Redis that is away is no obstacle; nothing is known until then."""
        try:
            await self._follower.look()
            await self._tell_leases("renew", ())
            if self._present == (self.name,):
                await self._begin_alone()
        except Away as error:
            if error.lasting:
                await self._close()
                raise StoreError(f"{error}: see redis_url") from error
            self._health.fail(str(error))
            _log.warning("redis is away", address=self._link.address, reason=str(error))
        self._task("follow", self._follower.follow_for_ever)

    async def _begin_alone(self) -> None:
        """Nobody has looked after the leases for a while: everybody gets one ttl to be heard."""
        if self.table.policy != self._policy:
            await self._follower.impose(self._policy)
        await self._grant("grant")

    async def stop(self) -> None:
        """See Store.stop."""
        self._stopped = True
        self._appends.reject(Unavailable("this registry stops"))
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._follower.synced:
            try:
                await self._tell_applied()
                await self._tell_leases("renew", self._renewed.items())
                await self._call(LEAVE, self.name)
            except Away as error:
                _log.warning("redis is away", address=self._link.address, reason=str(error))
        await self._close()

    async def _close(self) -> None:
        await self._follower.close()
        await self._link.close()

    def _task(self, name: str, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run something of which there is one at a time."""
        for ended in [one for one, task in self._tasks.items() if task.done()]:
            del self._tasks[ended]
        if name not in self._tasks and not self._stopped:
            self._tasks[name] = spawn(run(), name=f"registry in redis: {name}")

    def now(self) -> float:
        """See Store.now."""
        return self._clock.read(monotonic())

    @property
    def sharing(self) -> object:
        """See Store.sharing."""
        return self._present

    def share(self, name: str) -> bool:
        """See Store.share: whoever draws the highest number for it."""
        return max(self._present, key=lambda one: _draw(one, name)) == self.name

    # -- what the follower says -------------------------------------------------------------

    def applied(self, by: str, outcome: Outcome) -> None:
        """An entry of the log has changed the table."""
        self.changed()
        self._appends.applied(by, outcome)

    async def replaced(self, old: Replica, told: Amends, *, claimed: bool) -> None:
        """The table is another one."""
        self._kept = self._follower.replica.seq if claimed else 0
        if self.table.epoch == old.table.epoch:
            self._appends.skipped(self._follower.replica.seq, self.table.entries)
        else:
            self._appends.lost()
            # They live, and of this history they have applied nothing.
            self._applied.update(dict.fromkeys(self._audience, 0))
            if self._applied:
                self._task("applied", self._tell_applied_soon)
        self.changed()
        if claimed:
            self._renewed.update(_members(self.table))
            await self._grant("grant")
        if told.missing or told.left:
            self._task(f"amend {self.table.epoch}", lambda: self._amend(told))

    def met(self, now: float) -> None:
        """The follower is up with the log."""
        if now:
            self._clock.tell(now, monotonic())
            self._send_soon()
        self._well("follower")

    def missed(self, error: Away) -> None:
        """The follower cannot reach Redis."""
        self._miss("follower", error)

    def _miss(self, who: str, error: Away) -> None:
        if self._health.missed(who, str(error), monotonic(), lasting=error.lasting):
            _log.warning("redis is away", address=self._link.address, reason=str(error))

    def _well(self, who: str) -> None:
        if self._health.well(who, monotonic()):
            _log.info("redis is back", address=self._link.address)

    async def _amend(self, told: Amends) -> None:
        """Tell the new history what it has missed."""
        _log.info("telling what was lost", missing=len(told.missing), left=len(told.left))
        now = self.now()
        for at in range(0, len(told.missing), BATCH):
            batch = told.missing[at : at + BATCH]
            await self._tell_all([(Register(e.instance), e.instance.generation) for e in batch])
            await self._tell_all([(event, None) for e in batch for event in _standing(e, now)])
        for at in range(0, len(told.left), BATCH):
            batch_left = told.left[at : at + BATCH]
            await self._tell_all([(Deregister(*one), None) for one in batch_left])

    async def _tell_all(self, events: Iterable[tuple[Event, int | None]]) -> None:
        outcomes = await asyncio.gather(
            *(self._append(*one) for one in events), return_exceptions=True
        )
        unstored = sum(isinstance(one, Unavailable) for one in outcomes)
        if unstored:
            _log.warning("what was lost is not told in full", unstored=unstored)

    # -- events -----------------------------------------------------------------------------

    async def append(self, event: Event) -> Entry | None:
        """See Store.append."""
        if self.failing:
            raise Unavailable(self.failing)
        entry = await self._append(event)
        if isinstance(event, Register) and entry is not None:
            self.renew(entry)
        return entry

    async def _append(self, event: Event, generation: int | None = None) -> Entry | None:
        if self._stopped:
            raise Unavailable("this registry stops")
        if len(self._appends) >= WAITING:
            raise Unavailable("too many changes wait")
        ask = self._appends.add(event, generation)
        self._send_soon()
        try:
            async with asyncio.timeout(PATIENCE):
                return await ask.outcome
        except TimeoutError:
            raise Unavailable(self.failing or "redis does not answer") from None
        finally:
            self._appends.drop(ask)

    def _send_soon(self) -> None:
        self._task("send", self._send)

    async def _send(self) -> None:
        try:
            while self._follower.synced and (asks := self._appends.unsent()):
                position = self._position()
                calls = [(*position, *self._arguments(ask)) for ask in asks]
                for ask, answer in zip(asks, await self._link.calls(APPEND, calls), strict=True):
                    self._answered(ask, answer)
                self._well("link")
        except Away as error:
            self._miss("link", error)

    def _arguments(self, ask: Ask) -> tuple[Argument, ...]:
        event, table = ask.event, self.table
        kind = type(event).__name__.lower()
        name = event.instance.id if isinstance(event, Register) else getattr(event, "id", "")
        known = table.entries.get(name)
        had = b"" if known is None else _member(known.instance)
        life, due, generation = 0.0, 0.0, ""
        match event:
            case Register(instance):
                life = instance.ttl and instance.ttl + LAG
                generation = "" if ask.generation is None else str(ask.generation)
                if table.same(instance) is not None:
                    had = b""  # it comes to a heartbeat, and the lease goes on
            case Beat() if known is not None and known.instance.generation == event.generation:
                life = known.instance.ttl and known.instance.ttl + LAG
            case Silence():
                had = b"%d\0%b" % (event.generation, name.encode())
            case Pass():
                due = table.next_due() or 0.0
        return (
            self.name, ask.number, kind, orjson.dumps(encode(event)), name, had,
            int(life * SECOND), int(due * SECOND), generation,
        )  # fmt: skip

    def _answered(self, ask: Ask, answer: Answer) -> None:
        match answer:
            case [b"stored", int(seq), now]:
                ask.seq = seq
                self._clock.tell(int(now) / SECOND, monotonic())
            case [b"repeated"]:
                ask.seq = -1
            case [b"idle", _]:
                ask.settle(None)
                ask.seq = -1
            case [b"full"]:
                ask.settle(Unavailable("the log in redis is full: no registry writes snapshots"))
                ask.seq = -1
            case _:
                self._follower.synced = False  # it looks, and then this is sent again

    # -- leases -----------------------------------------------------------------------------

    def renew(self, entry: Entry) -> Lease:
        """See Store.renew."""
        instance = entry.instance
        if instance.ttl:
            self._renewed[_member(instance)] = instance.ttl
        return self._leases.renew(instance.id, instance.generation, instance.ttl, self.now())

    def lease(self, name: str) -> Lease | None:
        """See Store.lease."""
        return self._leases.get(name)

    async def beat(self) -> list[tuple[str, int]]:
        """See Store.beat."""
        self._forget(self.now())
        if not self._follower.synced:
            return []
        self._send_soon()
        renewed, self._renewed = self._renewed, {}
        try:
            await self._tell_applied()  # before we count as there again
            over = await self._tell_leases("renew", renewed.items())
            renewed = {}
            self._beats += 1
            if self._beats % FILL == 0 and self.share("leases"):
                await self._grant("fill")
            await self._keep_when_due()
            self._well("link")
        except Away as error:
            self._renewed = renewed | self._renewed
            self._miss("link", error)
            return []
        return over

    async def _tell_leases(
        self, mode: str, leases: Iterable[tuple[bytes, float]]
    ) -> list[tuple[str, int]]:
        """Tell of leases, and of our life; whose lease is over. Raises Away."""
        words: list[Argument] = []
        for member, ttl in leases:
            words += (member, int((ttl + LAG) * SECOND))
        answer: Answer = []
        for at in range(0, max(1, len(words)), 2 * CHUNK):
            stray, self._stray = self._stray, []
            chunk = words[at : at + 2 * CHUNK]
            answer = await self._call(BEAT, self.name, mode, len(stray), *stray, *chunk)
        _, seq, now, kept, over, present = answer
        self._clock.tell(int(now) / SECOND, monotonic())
        self._kept = kept
        self._present = tuple(sorted(one.decode() for one in present))
        return self._overdue(over, seq)

    def _overdue(self, members: Iterable[bytes], seq: int) -> list[tuple[str, int]]:
        """Id and generation of each; those of which the table knows nothing, strays."""
        found = []
        for member in members:
            generation, _, name = member.partition(b"\0")
            entry = self.table.entries.get(name.decode())
            if entry is not None and entry.instance.generation == int(generation):
                found.append((entry.instance.id, entry.instance.generation))
            elif self._follower.replica.seq >= seq:  # a later history knows it no more
                self._stray.append(member)
        return found

    async def _grant(self, mode: str) -> None:
        """Tell Redis the lease of everybody who is not silent. Raises Away."""
        await self._tell_leases(mode, _members(self.table).items())

    async def left(self, names: Collection[str]) -> dict[str, float]:
        """See Store.left."""
        entries = [e for e in map(self.table.entries.get, names) if e is not None]
        found = {e.instance.id: float("inf") for e in entries if not e.instance.ttl}
        asked = [entry.instance for entry in entries if entry.instance.ttl]
        now = self.now() + LAG
        try:
            for at in range(0, len(asked), CHUNK):
                chunk = asked[at : at + CHUNK]
                scores = await self._link.command(
                    "ZMSCORE", f"{PREFIX}leases", *map(_member, chunk)
                )
                for instance, score in zip(chunk, scores, strict=True):
                    if score is not None:
                        found[instance.id] = float(score) / SECOND - now
        except Away as error:
            raise Unavailable(str(error)) from error
        return found

    # -- watchers ---------------------------------------------------------------------------

    def acknowledge(self, service: str, watcher: str, revision: int) -> None:
        """See Store.acknowledge."""
        if self._audience.acknowledge(service, watcher, revision, self.now()):
            self._note(service, watcher, revision)

    async def introduce(self) -> None:
        """See Store.introduce."""
        try:
            await self._tell_applied()
        except Away as error:
            self._miss("link", error)

    def leave(self, service: str, watcher: str) -> None:
        """See Store.leave."""
        if self._audience.leave(service, watcher):
            self._note(service, watcher, None)

    def _note(self, service: str, watcher: str, revision: int | None) -> None:
        self._applied[service, watcher] = revision
        self._task("applied", self._tell_applied_soon)

    async def _tell_applied_soon(self) -> None:
        await asyncio.sleep(SOON)
        await self.introduce()

    async def _tell_applied(self) -> None:
        """Tell what watchers have applied: all that was noted when it returns. Raises Away."""
        async with self._telling:
            while self._applied and self._follower.synced:
                told = dict(list(self._applied.items())[:CHUNK])
                for key in told:
                    del self._applied[key]
                words: list[Argument] = []
                for (service, watcher), revision in told.items():
                    words += (service, watcher, "" if revision is None else revision)
                try:
                    await self._call(APPLIED, *words)
                except Away:
                    self._applied = told | self._applied
                    raise

    async def behind(self, service: str, revision: int) -> tuple[str, ...]:
        """See Store.behind. While others cannot be asked, their watchers count as one."""
        try:
            await self._tell_applied()
            _, unsettled, cut_off, late = await self._call(LATE, service, revision)
        except Away as error:
            late_here = self._audience.behind(service, revision, self.now())
            return (*late_here, f"{ELSEWHERE} ({error})")
        names = sorted(one.decode() for one in late)
        if unsettled:
            names.append(f"{ELSEWHERE} (history was lost)")
        if cut_off:
            names.append(f"{ELSEWHERE} (one of these has fallen silent)")
        return tuple(names)

    def _forget(self, now: float) -> None:
        self._audience.expire(now)
        self._leases.keep(self.table.entries)

    # -- Redis ------------------------------------------------------------------------------

    def _position(self) -> tuple[str, int]:
        return self.table.epoch, self._follower.replica.seq

    async def _call(self, script: str, *arguments: Argument, **options: float) -> Answer:
        """What a script answers that asks for our position first. Raises Away."""
        answer = await self._link.call(script, *self._position(), *arguments, **options)
        if answer[0] == b"again":
            self._follower.synced = False
            raise Away("history in redis is another one")
        return answer

    async def _keep_when_due(self) -> None:
        """Write a snapshot when the log has grown. Raises Away."""
        since = self._follower.replica.seq - self._kept
        due = max(ENTRIES, 2 * len(self.table))
        if since >= due and (self.share("snapshot") or since >= 2 * due):
            seq, text = self._follower.replica.seq, self._follower.replica.write()
            await self._call(KEEP, seq, text, timeout=LARGE)
            self._kept = seq


def _member(instance: Instance) -> bytes:
    """An instance's name among the leases; its id may have any letter in it, a number has not."""
    return b"%d\0%b" % (instance.generation, instance.id.encode())


def _members(table: Table) -> dict[bytes, float]:
    """The leases that there should be, and their ttl."""
    return {
        _member(entry.instance): entry.instance.ttl
        for entry in table
        if entry.instance.ttl and entry.heard is not False
    }


def _standing(entry: Entry, now: float) -> list[Event]:
    """What has to be said again of a registration that is told again."""
    name, events = entry.instance.id, list[Event]()
    if entry.heard:
        events.append(Beat(name, entry.instance.generation, entry.load))
    if entry.maintenance is not None:
        events.append(Maintain(name, entry.maintenance))
    if entry.drained_by is not None:
        events.append(Drain(name, max(0.0, entry.drained_by - now)))
    return events


def _draw(registry: str, name: str) -> bytes:
    return blake2b(f"{registry}\0{name}".encode(), digest_size=8).digest()
