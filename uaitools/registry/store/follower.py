"""Follows the log in Redis: keeps a table up with it, and begins another history when one is lost.

look    where does the table stand?   there: read on
                                      another epoch, or too far behind: load the snapshot
                                      nothing there, or less than is known: claim
"""

from __future__ import annotations

import asyncio
from time import time
from typing import Final, Protocol
from uuid import uuid4

import orjson

from uaitools.log import get_logger
from uaitools.redis_link import LARGE, Away, Link, read_entries
from uaitools.registry.events import Pass, encode
from uaitools.registry.store.amends import Amends, amends
from uaitools.registry.store.replica import (
    Gap,
    Outcome,
    Replica,
    empty,
    logged,
    read,
)
from uaitools.registry.store.script import CLAIM, FORMAT, LOAD, LOOK, PREFIX, SECOND
from uaitools.registry.table import FRESH, TablePolicy

BLOCK: Final = 1.0  # seconds for which a read waits
READ: Final = 1000  # entries read together
RETRY: Final = 0.5  # seconds between attempts while Redis is away
_LOG: Final = f"{PREFIX}log"
_log = get_logger(__name__)


class Audience(Protocol):
    """Who is told what the follower finds."""

    def applied(self, by: str, outcome: Outcome) -> None:
        """An entry has changed the table."""

    async def replaced(self, old: Replica, told: Amends, unread: int, *, claimed: bool) -> None:
        """The table is another one.

        unread: the entry up to which nobody has seen what came of any; those after it are told of
        next. claimed: begun here, and leases are to be granted.
        """

    def met(self, now: float) -> None:
        """Redis is there, and the table is as it should be. now: its time, 0 if unknown."""

    def missed(self, error: Away) -> None:
        """Redis is away."""

    def now(self) -> float:
        """The table's time."""


class Follower:
    """Keeps `replica` up with the log. synced: it is, as far as is known."""

    __slots__ = ("_audience", "_link", "_policy", "replica", "synced")

    def __init__(self, link: Link, policy: TablePolicy, audience: Audience) -> None:
        self._link = link
        self._policy = policy
        self._audience = audience
        self.replica = empty(policy)
        self.synced = False

    def __repr__(self) -> str:
        return f"<Follower synced={self.synced} {self.replica!r}>"

    async def close(self) -> None:
        """Read no more."""
        self.synced = False
        await self._link.close()

    async def follow_for_ever(self) -> None:
        """Look, read, and try again when Redis is away."""
        while True:
            try:
                if not self.synced:
                    await self.look()
                await self._read()
            except Away as error:
                self.synced = False
                self._audience.missed(error)
                await asyncio.sleep(RETRY)
            except Exception:
                # The list would stand still for ever: better to begin at the snapshot again.
                self.synced = False
                _log.exception("following the log failed")
                await asyncio.sleep(RETRY)

    # -- where it stands --------------------------------------------------------------------

    async def look(self) -> None:
        """Find out where the table stands, and bring it to where it should. Raises Away."""
        while not self.synced:
            replica = self.replica
            answer = await self._link.call(LOOK, replica.table.epoch, replica.seq, replica.by)
            match answer:
                case [b"empty"]:
                    await self._claim("", replica)
                case [b"lost"]:
                    await self._claim(replica.table.epoch, replica)
                case [b"other", *_]:
                    await self._load()
                case [b"there", _, now]:
                    self.synced = True
                    self._audience.met(int(now) / SECOND)
                case _:
                    raise Away("redis does not answer as our script does")

    async def _load(self) -> None:
        """Begin at the snapshot, and go up to the end of the log."""
        answer = await self._link.call(LOAD, timeout=LARGE)
        if answer[0] != b"kept":
            return
        _, form, name, seq, kept, text, before, base = answer
        if form != FORMAT:
            raise Away(f"registries of another version ({form}) use this redis", lasting=True)
        epoch, old = name.decode(), self.replica
        try:
            new = read(text, kept)
            if new.table.policy != self._policy:
                _log.warning("other registries go by other limits", theirs=repr(new.table.policy))
            began = {entry.instance.id: entry.instance.generation for entry in new.table}
            outcomes = await self._replay(new, seq)
        except (ValueError, Gap) as error:
            # Whoever still has a table of that epoch has more than is there.
            _log.error("the log in redis is damaged; beginning anew", reason=str(error))
            await self._claim(epoch, old if old.table.epoch else empty(self._policy))
            return
        if epoch == old.table.epoch and _went_back(old, new):
            await self._claim(epoch, new)
            return
        told = Amends()
        if epoch != old.table.epoch:
            told = amends(old, new.table, began, before.decode(), base)
        await self._take(new, told, kept, claimed=False)
        for by, outcome in outcomes:
            self._audience.applied(by, outcome)

    async def _replay(self, replica: Replica, upto: int) -> list[tuple[str, Outcome]]:
        outcomes = []
        while replica.seq < upto:
            first = f"{replica.seq + 1}-0"
            raw = await self._link.command("XRANGE", _LOG, first, "+", "COUNT", READ)
            found = read_entries(raw)
            if not found:
                raise Gap(f"nothing after {replica.seq}, but it goes up to {upto}")
            for name, fields in found[: upto - replica.seq]:
                entry = logged(name, fields)
                outcomes.append((entry.by, replica.apply(entry)))
        return outcomes

    async def impose(self, policy: TablePolicy) -> None:
        """Begin another history with the table as it is, by another policy. Raises Away."""
        self.replica.table.policy = policy
        self.synced = False
        await self._claim(self.replica.table.epoch, self.replica)
        await self.look()

    async def _claim(self, there: str, replica: Replica) -> None:
        """Begin another history with a table, unless somebody else was faster."""
        before, epoch = replica.table.epoch, uuid4().hex
        now = self._audience.now() if before else time()
        text = replica.write(epoch, fresh_until=now + FRESH)
        answer = await self._link.call(
            CLAIM, there, epoch, before, replica.seq, replica.table.generation, int(now * SECOND),
            text, orjson.dumps(encode(Pass())),
            timeout=LARGE,
        )  # fmt: skip
        if answer[0] == b"claimed":
            _log.warning(
                "another history begins in redis", epoch=epoch, instances=len(replica.table)
            )
            seq = int(answer[1])
            await self._take(read(text, seq), Amends(), seq, claimed=True)

    async def _take(self, new: Replica, told: Amends, unread: int, *, claimed: bool) -> None:
        old, self.replica = self.replica, new
        new.table.touched = {*old.table.services, *new.table.services}
        await self._audience.replaced(old, told, unread, claimed=claimed)

    # -- reading on -------------------------------------------------------------------------

    async def _read(self) -> None:
        """Apply what is new, or wait a moment for it. Raises Away."""
        found = await self._link.read(_LOG, f"{self.replica.seq}-0", BLOCK, READ)
        self._audience.met(0.0)
        for _, entries in found:
            for name, fields in entries:
                if not self._apply(name, fields):
                    return

    def _apply(self, name: bytes, fields: dict[bytes, bytes]) -> bool:
        try:
            entry = logged(name, fields)
            outcome = self.replica.apply(entry)
        except (Gap, ValueError):  # what that means, a look at the whole of it shows
            self.synced = False
            return False
        self._audience.applied(entry.by, outcome)
        return True


def _went_back(old: Replica, new: Replica) -> bool:
    """Whether a service has a lower revision than watchers have seen under this epoch."""
    services = new.table.services
    return new.seq < old.seq or any(
        service.revision > (services[name].revision if name in services else new.table.floor)
        for name, service in old.table.services.items()
    )
