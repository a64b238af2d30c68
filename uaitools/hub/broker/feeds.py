"""The channels that are followed here; where something is missing their streams are read."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Final

from uaitools.hub.broker.health import Health
from uaitools.hub.broker.port import Backlog, Inbox
from uaitools.hub.broker.publications import LONGEST
from uaitools.hub.broker.retries import Retries
from uaitools.hub.broker.script import READ
from uaitools.hub.broker.sequence import Sequence, Stored
from uaitools.hub.broker.wire import read_message
from uaitools.hub.channel import ChannelPolicy
from uaitools.hub.message import Message
from uaitools.hub.place import Place
from uaitools.redis_link import LARGE, Answer, Argument, Away, Link
from uaitools.tasks import spawn

BATCH: Final = 128  # channels read together
AUDIT: Final = 900.0  # seconds after which all are looked at, so that Redis forgets no epoch in use
_WAY: Final = "read"


class Feed:
    """One channel that is followed. key: the name by which it is published.

    opened: its first reading, until the inbox has it.
    """

    __slots__ = ("_waiting", "channel", "key", "opened", "policy", "sequence")

    def __init__(self, channel: str, key: bytes, policy: ChannelPolicy, inbox: Inbox) -> None:
        self.channel = channel
        self.key = key
        self.policy = policy
        self.sequence = Sequence(channel, inbox)
        self.opened: asyncio.Future[Stored] | None = asyncio.get_running_loop().create_future()
        # None instead of an empty list: there are many feeds.
        self._waiting: list[tuple[Place, asyncio.Future[None]]] | None = None

    def __repr__(self) -> str:
        return f"<Feed {self.sequence!r}>"

    def knows(self, place: Place) -> bool:
        """Whether the inbox was told of a place."""
        known = self.sequence.place
        return known is not None and known.epoch == place.epoch and known.offset >= place.offset

    def has(self, place: Place) -> bool:
        """Whether the inbox was told of a place, or will never be."""
        known = self.sequence.place
        if known is None or known.epoch == place.epoch:
            return self.knows(place)
        return not self.sequence.behind

    async def reach(self, place: Place) -> None:
        """Wait until the inbox was told of a place."""
        if not self.has(place):
            reached = asyncio.get_running_loop().create_future()
            self._waiting = [*(self._waiting or ()), (place, reached)]
            await reached

    def wake(self) -> None:
        """Tell who waits for a place that it was reached."""
        if self._waiting is not None:
            for place, reached in self._waiting:
                if self.has(place) and not reached.done():
                    reached.set_result(None)
            self._waiting = [one for one in self._waiting if not one[1].done()] or None

    def take(self, place: Place, message: Message, *, answer: bool) -> bool:
        """See Sequence.take; whether it has to be read."""
        self.sequence.take(place, message, answer=answer)
        self.wake()
        return self.sequence.behind

    async def open(self) -> Stored:
        """Wait for its first reading. Raises Away."""
        assert self.opened is not None
        return await asyncio.shield(self.opened)

    def begin(self, stored: Stored) -> Backlog:
        """The inbox is going to have its first reading."""
        self.opened = None
        return self.sequence.begin(stored)

    def fail(self, error: Away) -> None:
        """Redis would not have it read."""
        if self.opened is not None and not self.opened.done():
            self.opened.set_exception(error)
            self.opened.exception()  # whether anybody waits for it or not

    def end(self) -> None:
        """It is followed no more."""
        self.fail(Away("the channel is not followed any more"))
        for _, reached in self._waiting or ():
            if not reached.done():
                reached.set_result(None)
        self._waiting = None


@dataclass(slots=True)
class Totals:
    """What became of messages that did not come.

    filled: were read; skipped: could not be had any more. restarts: histories that were lost.
    """

    filled: int = 0
    skipped: int = 0
    restarts: int = 0

    def add(self, one: Sequence) -> None:
        """Count one channel's as well."""
        self.filled += one.filled
        self.skipped += one.skipped
        self.restarts += one.restarts


class Feeds:
    """All of them, by channel. round_trips: readings of some of them that have succeeded."""

    __slots__ = (
        "_audit",
        "_behind",
        "_by_key",
        "_feeds",
        "_health",
        "_link",
        "_reading",
        "_retries",
        "_totals",
        "round_trips",
    )

    def __init__(self, link: Link, health: Health) -> None:
        self.round_trips = 0
        self._link = link
        self._health = health
        self._feeds: dict[str, Feed] = {}
        self._by_key: dict[bytes, Feed] = {}
        self._behind: dict[Feed, None] = {}
        self._reading: asyncio.Task[None] | None = None
        self._audit: asyncio.TimerHandle | None = None
        self._retries = Retries()
        self._totals = Totals()  # of those that were ended

    def __repr__(self) -> str:
        return f"<Feeds {len(self._feeds)} behind={len(self._behind)}>"

    @property
    def totals(self) -> Totals:
        """Of all that are or were followed."""
        totals = Totals(self._totals.filled, self._totals.skipped, self._totals.restarts)
        for feed in self._feeds.values():
            totals.add(feed.sequence)
        return totals

    def start(self) -> None:
        """Look at all of them now and then."""
        self._audit = asyncio.get_running_loop().call_later(AUDIT, self._audit_all)

    async def stop(self) -> None:
        """Read nothing more."""
        if self._audit is not None:
            self._audit.cancel()
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.cancel()
            with suppress(asyncio.CancelledError):
                await reading
        for channel in list(self._feeds):
            self.remove(channel)

    def get(self, channel: str) -> Feed | None:
        """The feed of a channel that is followed."""
        return self._feeds.get(channel)

    def named(self, name: bytes) -> Feed | None:
        """The feed of what is published under a name."""
        return self._by_key.get(name)

    def add(self, feed: Feed) -> None:
        """Another one is followed."""
        self._feeds[feed.channel] = self._by_key[feed.key] = feed

    def remove(self, channel: str) -> Feed | None:
        """One is followed no more."""
        feed = self._feeds.pop(channel, None)
        if feed is not None:
            del self._by_key[feed.key]
            self._behind.pop(feed, None)
            self._totals.add(feed.sequence)
            feed.end()
        return feed

    def read_soon(self, feed: Feed) -> None:
        """Read a channel from where it stands."""
        if self._feeds.get(feed.channel) is feed:
            self._behind[feed] = None
            if self._reading is None:
                self._reading = spawn(self._read(), name="hub reads")

    def lose(self) -> None:
        """What was published since each of them was heard of last may be lost."""
        for feed in self._feeds.values():
            feed.sequence.lose()
            self.read_soon(feed)

    # -- reading ----------------------------------------------------------------------------

    async def _read(self) -> None:
        try:
            while self._behind or self._retries.failures:
                # What could not be read in time is read in smaller pieces.
                count = max(1, BATCH >> self._retries.failures)
                feeds = list(islice(self._behind, count))
                for feed in feeds:
                    del self._behind[feed]
                try:
                    await self._read_some(feeds)
                except Away as error:
                    self._health.missed(_WAY, error)
                    for feed in feeds:
                        self.read_soon(feed)
                    await asyncio.sleep(self._retries.failed())
                else:
                    self.round_trips += 1
                    self._health.met(_WAY)
                    self._retries.succeeded()
        finally:
            self._reading = None

    async def _read_some(self, feeds: list[Feed]) -> None:
        if not feeds:  # those that were waited for were ended
            await self._link.command("PING")
        calls = [(READ, _arguments(feed)) for feed in feeds]
        unable: Away | None = None
        for feed, answer in zip(feeds, await self._link.each(calls, LARGE), strict=True):
            if isinstance(answer, Away):
                if answer.refused:  # of this channel only: it would answer the same for ever
                    feed.fail(answer)
                else:
                    unable = answer
                    self.read_soon(feed)
                continue
            stored = _stored(answer)
            self._give(feed, stored)
            if stored.messages:
                await asyncio.sleep(0)  # to have all of them told at once might take long
        if unable is not None:
            raise unable

    def _give(self, feed: Feed, stored: Stored) -> None:
        if self._feeds.get(feed.channel) is not feed:
            return
        if feed.sequence.place is None:
            if feed.opened is not None and not feed.opened.done():
                feed.opened.set_result(stored)
            return
        feed.sequence.give(stored)
        feed.wake()
        if feed.sequence.behind:
            self.read_soon(feed)

    def _audit_all(self) -> None:
        self.start()
        self.lose()


def _arguments(feed: Feed) -> tuple[Argument, ...]:
    place = feed.sequence.ask() or Place("", 0)
    age = int(min(feed.policy.age, LONGEST) * 1000)
    return (feed.key, secrets.token_urlsafe(8), place.epoch, place.offset, age)


def _stored(answer: Answer) -> Stored:
    epoch, head, entries = answer
    messages = {}
    for name, text in entries:
        with suppress(ValueError):  # nobody who speaks as we do has written it: a hole
            messages[int(name.partition(b"-")[0])] = read_message(text)
    return Stored(epoch.decode(), head, messages)
