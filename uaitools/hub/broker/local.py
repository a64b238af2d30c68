"""A broker of one node: nothing is shared, and the hub's own channels are all the history."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from secrets import token_urlsafe
from typing import Any, Final

from uaitools.hub.broker.port import Attendance, Backlog, Inbox
from uaitools.hub.channel import ChannelPolicy
from uaitools.hub.message import Message
from uaitools.hub.place import Place
from uaitools.hub.presence import Presence
from uaitools.tasks import spawn

TOLD: Final = 1.0  # seconds between two tellings of who came and went


class LocalBroker:
    """See port.Broker. A channel has to be followed before something is published to it."""

    def __init__(self) -> None:
        self.keeps = False
        self.failing = ""
        self._places: dict[str, Place] = {}
        self._presence: dict[str, Presence] = {}
        self._turned: set[str] = set()  # channels with changes that are not told yet
        self._telling: asyncio.Task[None] | None = None
        self._inbox: Inbox | None = None

    def __repr__(self) -> str:
        return f"<LocalBroker followed={len(self._places)} attended={len(self._presence)}>"

    async def start(self, inbox: Inbox) -> None:
        """See port.Broker."""
        self._inbox = inbox
        self._telling = spawn(self._tell(), name="tell who came and went")

    async def stop(self) -> None:
        """See port.Broker."""
        if self._telling is not None:
            self._telling.cancel()
            await asyncio.wait({self._telling})

    async def publish(self, channel: str, _policy: ChannelPolicy, message: Message) -> Place:
        """See port.Broker. Raises KeyError for a channel that is not followed."""
        before = self._places[channel]
        place = self._places[channel] = Place(before.epoch, before.offset + 1)
        assert self._inbox is not None
        self._inbox.arrived(channel, place.offset, message)
        return place

    async def follow(self, channel: str, _policy: ChannelPolicy) -> Backlog:
        """See port.Broker."""
        epoch = token_urlsafe(9)
        self._places[channel] = Place(epoch, 0)
        return Backlog(epoch, 0, ())

    def unfollow(self, channel: str) -> None:
        """See port.Broker."""
        self._places.pop(channel, None)

    def attend(self, channel: str, user: str, connections: int) -> None:
        """See port.Broker."""
        presence = self._presence.get(channel)
        if presence is None:
            presence = self._presence[channel] = Presence()
        presence.set(user, connections)
        self._turned.add(channel)

    async def attendance(self, channel: str, after: str | None, limit: int) -> Attendance:
        """See port.Broker."""
        presence = self._presence.get(channel)
        if presence is None:
            return Attendance(0, 0, {})
        page = {one.user: one.connections for one in presence.page(after, limit)}
        return Attendance(len(presence), presence.connections, page)

    async def order(self, order: Mapping[str, Any]) -> None:
        """See port.Broker: there are no others."""

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(TOLD)
            turned, self._turned = self._turned, set()
            for channel in turned:
                presence = self._presence[channel]
                changes = presence.take()
                if changes and self._inbox is not None:
                    self._inbox.came_and_went(channel, changes.joined, changes.left, len(presence))
                if not presence:
                    del self._presence[channel]
