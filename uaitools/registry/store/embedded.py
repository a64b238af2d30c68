"""The store of a registry that is alone: its memory, and a journal to begin again from."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from time import monotonic, time
from typing import Final
from uuid import uuid4

from uaitools.files import in_thread
from uaitools.log import get_logger
from uaitools.registry.clock import WatchedClock
from uaitools.registry.entry import Entry
from uaitools.registry.errors import Full, Stale, Unavailable, Unknown
from uaitools.registry.events import Event, Register, decode, encode
from uaitools.registry.leases import Lease, Leases
from uaitools.registry.snapshot import dump, load
from uaitools.registry.store.journal import Journal
from uaitools.registry.store.port import StoreError
from uaitools.registry.table import DEFAULTS, FRESH, Table, TablePolicy
from uaitools.registry.watchers import LIVE, Audience

FILE: Final = "registry.journal"
EARLIER: Final = "watchers from before this registry's restart"
_log = get_logger(__name__)


class EmbeddedStore:
    """The table of this process. directory: where its journal is; None to keep nothing.

    A Store. clock: monotonic seconds, for tests.
    """

    def __init__(
        self,
        directory: Path | None,
        *,
        policy: TablePolicy = DEFAULTS,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._directory = directory
        self._policy = policy
        self._monotonic = clock
        self._clock = WatchedClock(time(), clock())
        self._pauses = 0  # that were made up for
        self._journal: Journal | None = None
        self._leases = Leases()
        self._audience = Audience()
        self._settled = 0.0  # when all who watched before the last restart have come, or gone
        self.table = Table("", policy=policy)
        self.changed: Callable[[], None] = lambda: None
        self.failing = ""
        self.current = True  # nobody else changes it
        self.adrift = False

    def __repr__(self) -> str:
        return f"<EmbeddedStore {self.table!r} {self._leases!r}>"

    async def start(self) -> None:
        """See Store.start."""
        now = time()
        table = Table(uuid4().hex, now=now, fresh_until=now + FRESH, policy=self._policy)
        if self._directory is not None:
            journal = Journal(self._directory / FILE, lambda: dump(self.table))
            try:
                table = self._replayed(journal, table)
            except StoreError:
                journal.close()
                raise
            self._journal = journal
        reformed = table.policy != self._policy
        if reformed:  # by another one things would have come otherwise
            table.policy, table.epoch = self._policy, uuid4().hex
        self.table = table
        # Time goes on where it stopped: nobody watched it meanwhile. What is new begins now.
        self._clock = WatchedClock(table.now, self._monotonic())
        # Nobody watched a registry that has never been, though its journal may have been lost.
        earlier = len(table) or (self._journal is not None and self._journal.earlier)
        self._settled = table.now + LIVE if earlier else 0.0
        for entry in table:
            if entry.heard is not False:
                # Everybody gets one ttl to be heard.
                self.renew(entry).seen = entry.heard_at
        if self._journal is not None:
            self._begin(self._journal, reformed=reformed)

    def _begin(self, journal: Journal, *, reformed: bool) -> None:
        """A snapshot first; on a full disk what was read goes on, and changes may be refused.

        reformed: it does not, since it would be read by the policy that it began with.
        """
        try:
            journal.begin()
        except OSError as error:
            with suppress(OSError):
                if not reformed:
                    journal.go_on()
                    _log.warning("no snapshot could be written", reason=error.strerror)
                    return
            journal.close()
            raise StoreError(f"the journal cannot be written: {error.strerror}") from error

    def _replayed(self, journal: Journal, empty: Table) -> Table:
        found = journal.read()
        if found is None:
            # Those of a journal that was lost must not be given again.
            empty.generation = int(empty.now * 1_000_000)
            return empty
        snapshot, events = found
        try:
            table = load(snapshot)
            for document in events:
                at = document.pop("at")
                with suppress(Unknown, Stale, Full):  # it came to nothing the first time, too
                    table.apply(decode(document), at)
        except Exception as error:  # it may hold anything
            raise StoreError(
                f"{journal.path} cannot be understood ({type(error).__name__}: {error}); "
                "move it away to begin anew"
            ) from error
        _log.info("registrations restored", instances=len(table), events=len(events))
        return table

    async def stop(self) -> None:
        """See Store.stop."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    @property
    def sharing(self) -> object:
        """See Store.sharing."""
        return None

    def share(self, name: str) -> bool:  # noqa: ARG002 - there is nobody to share with
        """See Store.share."""
        return True

    def now(self) -> float:
        """See Store.now."""
        return self._clock.read(self._monotonic())

    async def append(self, event: Event) -> Entry | None:
        """See Store.append."""
        now = self.now()
        if isinstance(event, Register):
            generation = self.table.generation + 1
            event = Register(replace(event.instance, generation=generation))
        self._write(event, now)
        try:
            entry = self.table.apply(event, now)
            if isinstance(event, Register):
                assert entry is not None
                self.renew(entry)
        finally:
            self.changed()  # time has passed, whatever came of the event
        return entry

    def _write(self, event: Event, now: float) -> None:
        if self._journal is None:
            return
        try:
            self._journal.append({"at": now, **encode(event)})
        except OSError as error:
            self._fail(error)
            raise Unavailable(error.strerror or str(error)) from error

    def _fail(self, error: OSError) -> None:
        if not self.failing:
            _log.error("the journal cannot be written", reason=error.strerror)
        self.failing = error.strerror or str(error)

    def renew(self, entry: Entry) -> Lease:
        """See Store.renew."""
        instance = entry.instance
        return self._leases.renew(instance.id, instance.generation, instance.ttl, self.now())

    def lease(self, name: str) -> Lease | None:
        """See Store.lease."""
        return self._leases.get(name)

    async def beat(self) -> list[tuple[str, int]]:
        """See Store.beat."""
        now = self.now()
        if self._clock.pauses != self._pauses:
            self._pauses = self._clock.pauses
            self._leases.restart(now)
        if self._journal is not None:
            try:
                if self._journal.grown or self.failing or self._journal.lost:
                    self._journal.begin()
                await in_thread(self._journal.sync)
                self.failing = ""
            except OSError as error:
                self._fail(error)
        self._audience.expire(now)
        self._leases.keep(self.table.entries)
        return self._leases.overdue(now)

    async def left(self, names: Collection[str]) -> dict[str, float]:
        """See Store.left."""
        return self._leases.left(names, self.now())

    def acknowledge(self, service: str, watcher: str, revision: int) -> None:
        """See Store.acknowledge."""
        self._audience.acknowledge(service, watcher, revision, self.now())

    async def introduce(self) -> None:
        """See Store.introduce: there is no other registry."""

    def leave(self, service: str, watcher: str) -> None:
        """See Store.leave."""
        self._audience.leave(service, watcher)

    async def behind(self, service: str, revision: int, revised: float) -> tuple[str, ...]:  # noqa: ARG002 - others count it
        """See Store.behind."""
        now = self.now()
        found = self._audience.behind(service, revision, now)
        # Whoever watched before a restart may still send where it was told to, for as long as it
        # lives; when it has not come back by then it counts no more.
        return found if now >= self._settled else (*found, EARLIER)
