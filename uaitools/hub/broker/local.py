"""One node: nothing is shared, and nothing is kept of channels that nobody follows."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from uaitools.hub.broker.port import Attendance, Backlog, Inbox
from uaitools.hub.channel import ChannelPolicy
from uaitools.hub.errors import Unavailable
from uaitools.hub.message import Message
from uaitools.hub.place import Place
from uaitools.hub.presence import Presence
from uaitools.tasks import spawn

EVERY: Final = 1.0  # seconds in which who comes and goes is collected


class LocalBroker:
    """Gives messages their offsets. published: how many."""

    __slots__ = (
        "_changed",
        "_inbox",
        "_places",
        "_presences",
        "_telling",
        "failing",
        "keeps",
        "published",
    )

    def __init__(self) -> None:
        self.keeps = False
        self.failing = ""
        self.published = 0
        self._inbox: Inbox | None = None
        self._places: dict[str, Place] = {}  # of the newest message of each followed channel
        self._presences: dict[str, Presence] = {}
        self._changed: dict[str, None] = {}  # channels to which somebody has come, or gone
        self._telling: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<LocalBroker channels={len(self._places)} published={self.published}>"

    async def start(self, inbox: Inbox) -> None:
        """See Broker.start."""
        self._inbox = inbox

    async def stop(self) -> None:
        """See Broker.stop."""
        telling, self._telling = self._telling, None
        if telling is not None:
            telling.cancel()
            with suppress(asyncio.CancelledError):
                await telling

    async def publish(self, channel: str, policy: ChannelPolicy, message: Message) -> Place:  # noqa: ARG002 - the hub's ring keeps it
        """See Broker.publish: the channel has to be followed."""
        assert self._inbox is not None
        known = self._places.get(channel)
        if known is None:
            raise Unavailable("nobody follows the channel here")
        place = self._places[channel] = Place(known.epoch, known.offset + 1)
        self.published += 1
        self._inbox.arrived(channel, place.offset, message)
        return place

    async def follow(self, channel: str, policy: ChannelPolicy) -> Backlog:  # noqa: ARG002 - as above
        """See Broker.follow."""
        place = self._places[channel] = Place(secrets.token_urlsafe(8), 0)
        return Backlog(place.epoch, 0, ())

    def unfollow(self, channel: str) -> None:
        """See Broker.unfollow."""
        self._places.pop(channel, None)

    def attend(self, channel: str, user: str, connections: int) -> None:
        """See Broker.attend."""
        presence = self._presences.setdefault(channel, Presence())
        presence.hold(user, connections)
        self._changed[channel] = None
        if self._telling is None:
            self._telling = spawn(self._tell(), name="hub presence")

    async def attendance(self, channel: str, after: str | None, limit: int) -> Attendance:
        """See Broker.attendance."""
        presence = self._presences.get(channel, _NOBODY)
        page = {one.user: one.connections for one in presence.page(after, limit)}
        return Attendance(len(presence), presence.connections, page)

    async def order(self, order: Mapping[str, Any]) -> None:
        """See Broker.order: there is nobody to hear it."""

    async def _tell(self) -> None:
        assert self._inbox is not None
        try:
            while self._changed:
                await asyncio.sleep(EVERY)
                changed, self._changed = self._changed, {}
                for channel in changed:
                    presence = self._presences[channel]
                    if (changes := presence.take()) and channel in self._places:
                        self._inbox.came_and_went(
                            channel, changes.joined, changes.left, len(presence)
                        )
                    if not presence:
                        del self._presences[channel]
        finally:
            self._telling = None


_NOBODY: Final = Presence()
