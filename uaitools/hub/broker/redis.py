"""Several nodes that share a Redis.

publications      messages on their way there
subscriber        what comes back, and feeds: the channels that are followed, kept whole
shared_presence   who is where
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, Literal

from redis.connection import parse_url

from uaitools.fair_timeout import fair_timeout
from uaitools.hub.broker.feeds import Feed, Feeds
from uaitools.hub.broker.health import Health
from uaitools.hub.broker.port import Attendance, Backlog, Inbox
from uaitools.hub.broker.publications import Publications
from uaitools.hub.broker.script import PREFIX, key_of
from uaitools.hub.broker.sequence import Stored
from uaitools.hub.broker.shared_presence import SharedPresence
from uaitools.hub.broker.subscriber import Subscriber
from uaitools.hub.broker.wire import Came, read_message, read_order, read_published, write_order
from uaitools.hub.channel import ChannelPolicy
from uaitools.hub.errors import Unavailable
from uaitools.hub.message import Message
from uaitools.hub.place import Place
from uaitools.redis_link import TIMEOUT, Away, Link, address_of

HOLD: Final = 30.0  # seconds for which a message is held while Redis is away
ON_THE_WAY: Final = 0.05  # seconds in which what was published before should have come
NODES: Final = 10_000  # whose last order is remembered
_WAY: Final = "listen"


class RedisBroker:
    """Shares through the Redis at `url`.

    away: what becomes of messages that are published while Redis is: they are refused after 2 s at
    most, or held for 30 s.

    Counters. published: messages that got a place; held: that had to wait for Redis to come back;
    refused; filled: that were read because pub/sub had lost them; skipped: that could not be had
    any more; restarts: histories that were lost; reconnects: of the pub/sub connection; foreign:
    what others have published under our names.
    """

    __slots__ = (
        "_feeds",
        "_health",
        "_inbox",
        "_links",
        "_node",
        "_numbering",
        "_ordering",
        "_orders",
        "_orders_name",
        "_prefix",
        "_presence",
        "_publications",
        "_subscriber",
        "foreign",
        "keeps",
    )

    def __init__(self, url: str, *, away: Literal["refuse", "hold"] = "refuse") -> None:
        self.keeps = True
        self.foreign = 0
        self._node = secrets.token_hex(6)
        # Pub/sub knows nothing of databases.
        parse: Any = parse_url  # has no types
        database = int(parse(url).get("db") or 0)
        self._prefix = f"{PREFIX}{database}:" if database else PREFIX
        self._orders_name = f"{self._prefix}orders".encode()
        self._inbox: Inbox | None = None
        self._health = Health(address_of(url))
        # A stream that takes long to read holds up no message, and none of these presence.
        self._links = [Link(url, identified=True) for _ in range(3)]
        publishing, reading, presence = self._links
        hold = away == "hold"
        self._publications = Publications(
            publishing, self._node, self._health, self._placed,
            patience=HOLD if hold else TIMEOUT, hold=hold,
        )  # fmt: skip
        self._feeds = Feeds(reading, self._health)
        self._presence = SharedPresence(presence, self._node, self._health, self._prefix)
        self._subscriber = Subscriber(url, self)
        self._ordering = 0
        self._numbering = asyncio.Lock()
        self._orders: dict[str, int] = {}  # the last of each node

    def __repr__(self) -> str:
        return f"<RedisBroker {self._node} {self._feeds!r} failing={self.failing!r}>"

    @property
    def failing(self) -> str:
        """See Broker."""
        return self._health.failing

    @property
    def published(self) -> int:
        """Messages that got a place."""
        return self._publications.published

    @property
    def held(self) -> int:
        """Messages that had to wait for Redis to come back."""
        return self._publications.held

    @property
    def refused(self) -> int:
        """Messages that were not published, as far as is known."""
        return self._publications.refused

    @property
    def filled(self) -> int:
        """Messages that were read because pub/sub had lost them."""
        return self._feeds.totals.filled

    @property
    def skipped(self) -> int:
        """Messages that could not be had any more."""
        return self._feeds.totals.skipped

    @property
    def restarts(self) -> int:
        """How often a channel's history was lost."""
        return self._feeds.totals.restarts

    @property
    def reconnects(self) -> int:
        """How often the pub/sub connection was lost, or could not be made."""
        return self._subscriber.reconnects

    # -- from start to stop -----------------------------------------------------------------

    async def start(self, inbox: Inbox) -> None:
        """See Broker.start."""
        self._inbox = inbox
        try:
            await self._links[0].command("PING")
        except Away as error:
            if error.lasting:
                raise Unavailable(str(error)) from error
            self._health.missed(_WAY, error)
        self._subscriber.want(self._orders_name)
        self._subscriber.start()
        self._feeds.start()
        self._presence.start()

    async def stop(self) -> None:
        """See Broker.stop."""
        await self._publications.stop()
        await self._presence.stop()
        await self._subscriber.stop()
        await self._feeds.stop()
        for link in self._links:
            await link.close()

    # -- messages ---------------------------------------------------------------------------

    async def publish(self, channel: str, policy: ChannelPolicy, message: Message) -> Place:
        """See Broker.publish."""
        key = key_of(channel, self._prefix)
        place = await self._publications.publish(channel, key, policy, message)
        feed = self._feeds.get(channel)
        if feed is not None and not feed.has(place):
            await self._arrive(feed, place)
        return place

    async def follow(self, channel: str, policy: ChannelPolicy) -> Backlog:
        """See Broker.follow."""
        assert self._inbox is not None
        self.unfollow(channel)
        feed = Feed(channel, key_of(channel, self._prefix).encode(), policy, self._inbox)
        self._feeds.add(feed)
        try:
            async with fair_timeout(TIMEOUT):
                await self._subscriber.add(feed.key)
            stored = await self._read(feed)
        except BaseException as error:
            if self._feeds.get(channel) is feed:
                self.unfollow(channel)
            if isinstance(error, TimeoutError):
                raise Unavailable(self.failing or "redis is too slow") from error
            if isinstance(error, Away):
                raise Unavailable(str(error)) from error
            raise
        # Nothing comes between this and the caller, who has the backlog before what follows it.
        backlog = feed.begin(stored)
        if feed.sequence.behind:
            self._feeds.read_soon(feed)
        return backlog

    async def _read(self, feed: Feed) -> Stored:
        """Have a channel read for the first time: as long as others are, its turn will come."""
        self._feeds.read_soon(feed)
        while True:
            before = self._feeds.round_trips
            try:
                async with fair_timeout(TIMEOUT):
                    return await feed.open()
            except TimeoutError:
                if self._feeds.round_trips == before:
                    raise

    def unfollow(self, channel: str) -> None:
        """See Broker.unfollow."""
        feed = self._feeds.remove(channel)
        if feed is not None:
            self._subscriber.drop(feed.key)

    def _placed(self, channel: str, place: Place, message: Message) -> None:
        feed = self._feeds.get(channel)
        if feed is not None and feed.take(place, message, answer=True):
            self._feeds.read_soon(feed)

    async def _arrive(self, feed: Feed, place: Place) -> None:
        """Have a message told to the inbox that was published after others which have not come."""
        for patience in (ON_THE_WAY, TIMEOUT):
            with suppress(TimeoutError):
                async with fair_timeout(patience):
                    await feed.reach(place)
                    return
            self._feeds.read_soon(feed)

    # -- presence and orders ----------------------------------------------------------------

    def attend(self, channel: str, user: str, connections: int) -> None:
        """See Broker.attend."""
        self._presence.attend(channel, user, connections)

    async def attendance(self, channel: str, after: str | None, limit: int) -> Attendance:
        """See Broker.attendance."""
        try:
            return await self._presence.attendance(channel, after, limit)
        except Away as error:
            raise Unavailable(str(error)) from error

    async def order(self, order: Mapping[str, Any]) -> None:
        """See Broker.order."""
        try:
            async with fair_timeout(2 * TIMEOUT), self._numbering:
                # One at a time: a number that comes after a higher one is taken for a repetition.
                self._ordering += 1
                text = write_order(self._node, self._ordering, order)
                try:
                    await self._links[2].command("PUBLISH", self._orders_name, text)
                except Away:  # if it was done all the same, the others know its number
                    await self._links[2].command("PUBLISH", self._orders_name, text)
        except TimeoutError as error:
            raise Unavailable("redis is too slow") from error
        except Away as error:
            raise Unavailable(str(error)) from error

    # -- what the subscriber hears ----------------------------------------------------------

    def heard(self, name: bytes, text: bytes) -> None:
        """See subscriber.Listener."""
        try:
            if name == self._orders_name:
                self._hear_order(text)
            elif (feed := self._feeds.named(name)) is not None:
                self._hear(feed, text)
        except ValueError:
            self.foreign += 1

    def subscribed(self) -> None:
        """See subscriber.Listener."""
        self._health.met(_WAY)
        self._feeds.lose()

    def deaf(self, error: Away) -> None:
        """See subscriber.Listener."""
        self._health.missed(_WAY, error)

    def _hear(self, feed: Feed, text: bytes) -> None:
        match read_published(text):
            case Came(joined, left, users):
                if feed.sequence.place is not None and self._inbox is not None:
                    self._inbox.came_and_went(feed.channel, joined, left, users)
            case place, message:
                if feed.knows(place):
                    return  # most of what was published here
                if feed.take(place, read_message(message), answer=False):
                    self._feeds.read_soon(feed)

    def _hear_order(self, text: bytes) -> None:
        node, number, order = read_order(text)
        if node == self._node or number <= self._orders.get(node, 0):
            return
        self._orders.pop(node, None)
        self._orders[node] = number
        while len(self._orders) > NODES:
            del self._orders[next(iter(self._orders))]
        assert self._inbox is not None
        self._inbox.ordered(order)
