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
from collections.abc import Callable, Collection, Coroutine
from hashlib import blake2b
from time import monotonic
from typing import Any, Final
from uuid import uuid4

from uaitools.log import get_logger
from uaitools.redis_link import LARGE, Answer, Argument, Away, Link
from uaitools.registry.clock import EchoedClock
from uaitools.registry.entry import Entry
from uaitools.registry.errors import Unavailable
from uaitools.registry.events import Event, Register
from uaitools.registry.leases import Lease
from uaitools.registry.store.acknowledgements import Acknowledgements
from uaitools.registry.store.amends import Amends
from uaitools.registry.store.appends import WAITING, Appends, Ask
from uaitools.registry.store.follower import Follower
from uaitools.registry.store.health import Health
from uaitools.registry.store.port import StoreError
from uaitools.registry.store.replica import Outcome, Replica
from uaitools.registry.store.script import APPEND, GONE, KEEP, LEAVE, PREFIX, SECOND
from uaitools.registry.store.shared_leases import Heard, SharedLeases
from uaitools.registry.table import DEFAULTS, Table, TablePolicy
from uaitools.tasks import spawn

PATIENCE: Final = 5.0  # seconds that a change may take, Redis coming back included
SOON: Final = 0.05  # seconds in which acknowledgements are gathered
ENTRIES: Final = 2000  # of the log, or twice as many as instances: then a snapshot is due
FILL: Final = 30  # beats after which leases that were lost are put back
_log = get_logger(__name__)


class RedisStore:
    """The table of all registries that use the Redis at `url`. A Store."""

    def __init__(self, url: str, *, policy: TablePolicy = DEFAULTS) -> None:
        self.name = uuid4().hex[:16]
        self._policy = policy
        self._link = Link(url, PREFIX)
        self._follower = Follower(Link(url, PREFIX), policy, self)
        self._appends = Appends(self.name)
        self._health = Health(monotonic())
        self._clock = EchoedClock(0.0, monotonic())
        self._leases = SharedLeases(self.name, self._call, self._link.command)
        self._acknowledged = Acknowledgements(self.name, self._call)
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
            self._hear(await self._leases.tell(self.table.now))
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
        self._hear(await self._leases.grant(self.table))

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
                await self._say_how_far()
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
        """See Store.now: never behind what has happened, of which may be heard before the time."""
        return max(self._clock.read(monotonic()), self.table.now)

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
        if isinstance(outcome, Entry) and outcome.drains:
            self._task("confirm", self._confirm)  # a drain may wait for our word

    async def replaced(self, old: Replica, told: Amends, unread: int, *, claimed: bool) -> None:
        """The table is another one."""
        self._kept = self._follower.replica.seq if claimed else 0
        if self.table.epoch == old.table.epoch:
            self._appends.skipped(unread, self.table)
        else:
            self._appends.lost()
            self._acknowledged.begin_anew()
            self._tell_soon()
        self.changed()
        if claimed:
            self._leases.renew_all(self.table)
            self._hear(await self._leases.grant(self.table))
        if told:
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
        unstored = 0
        for batch in told.batches(self.now()):
            outcomes = await asyncio.gather(
                *(self._append(*one) for one in batch), return_exceptions=True
            )
            unstored += sum(isinstance(one, Unavailable) for one in outcomes)
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
                calls = [(*position, *self._appends.arguments(ask, self.table)) for ask in asks]
                for ask, answer in zip(asks, await self._link.calls(APPEND, calls), strict=True):
                    self._answered(ask, answer)
                self._well("link")
        except Away as error:
            self._miss("link", error)

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
        return self._leases.renew(entry.instance, self.now())

    def lease(self, name: str) -> Lease | None:
        """See Store.lease."""
        return self._leases.get(name)

    async def beat(self) -> list[tuple[str, int]]:
        """See Store.beat."""
        self._acknowledged.expire(self.now())
        self._leases.keep(self.table.entries)
        if not self._follower.synced:
            return []
        self._send_soon()
        try:
            heard = await self._say_how_far()
            self._beats += 1
            if self._beats % FILL == 0 and self.share("leases"):
                self._hear(await self._leases.grant(self.table, missing=True))
            await self._keep_when_due()
            self._well("link")
        except Away as error:
            self._miss("link", error)
            return []
        return self._leases.overdue(heard, self._follower.replica)

    async def _confirm(self) -> None:
        """Have drains elsewhere wait for the next beat no longer."""
        try:
            await self._say_how_far()
        except Away as error:
            self._miss("link", error)

    async def _say_how_far(self) -> Heard:
        """Tell of our watchers, and only then that we live and how far we are. Raises Away."""
        await self._acknowledged.tell()
        heard = await self._leases.tell(self.table.now)
        self._hear(heard)
        return heard

    def _hear(self, heard: Heard) -> None:
        self._clock.tell(heard.now, monotonic())
        self._kept = heard.kept
        self._present = heard.present

    async def left(self, names: Collection[str]) -> dict[str, float]:
        """See Store.left."""
        entries = [entry for entry in map(self.table.entries.get, names) if entry is not None]
        try:
            return await self._leases.left(entries, self.now())
        except Away as error:
            raise Unavailable(str(error)) from error

    # -- watchers ---------------------------------------------------------------------------

    def acknowledge(self, service: str, watcher: str, revision: int) -> None:
        """See Store.acknowledge."""
        self._acknowledged.acknowledge(service, watcher, revision, self.now())
        self._tell_soon()

    async def introduce(self) -> None:
        """See Store.introduce."""
        try:
            await self._acknowledged.tell()
        except Away as error:
            self._miss("link", error)

    def leave(self, service: str, watcher: str) -> None:
        """See Store.leave."""
        self._acknowledged.leave(service, watcher)
        self._tell_soon()

    async def behind(self, service: str, revision: int, revised: float) -> tuple[str, ...]:
        """See Store.behind."""
        return await self._acknowledged.behind(service, revision, revised, self.now())

    def _tell_soon(self) -> None:
        if self._acknowledged:
            self._task("applied", self._tell_after_a_moment)

    async def _tell_after_a_moment(self) -> None:
        await asyncio.sleep(SOON)
        await self.introduce()

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


def _draw(registry: str, name: str) -> bytes:
    return blake2b(f"{registry}\0{name}".encode(), digest_size=8).digest()
