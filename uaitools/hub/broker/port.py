"""What the hub asks of a broker, and a broker of the hub."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from uaitools.hub.channel import ChannelPolicy
from uaitools.hub.message import Message
from uaitools.hub.place import Place


@dataclass(frozen=True, slots=True)
class Backlog:
    """A channel as it is when it is followed.

    base: the offset before the first of `messages`, which are all that is kept, in their order.
    """

    epoch: str
    base: int
    messages: Sequence[Message]


@dataclass(frozen=True, slots=True)
class Attendance:
    """Who is in a channel, on all nodes. page: users with their connections, by name."""

    users: int
    connections: int
    page: Mapping[str, int]


class Inbox(Protocol):
    """What the hub is told, of channels that are followed. Never waits."""

    def arrived(self, channel: str, offset: int, message: Message) -> None:
        """The message after the newest one that the hub has."""

    def skipped(self, channel: str, head: int) -> None:
        """What came after the newest one that the hub has, up to `head`, cannot be had any more."""

    def restarted(self, channel: str, backlog: Backlog) -> None:
        """The history was lost: this is the channel now."""

    def came_and_went(
        self, channel: str, joined: Sequence[str], left: Sequence[str], users: int
    ) -> None:
        """Users have come to a channel, or gone, on whatever node."""

    def ordered(self, order: Mapping[str, Any]) -> None:
        """Another node has called `order`."""


class Broker(Protocol):
    """Shares messages, presence and orders between nodes.

    keeps: whether it has the history of channels that nobody follows. failing: why what is shared
    cannot be reached now, '' while it can.

    Guarantees. One offset of an epoch never stands for two messages, whatever is killed or
    restarted. The hub is told every offset of a followed channel once, in order, or that it was
    skipped. Two messages that one caller publishes one after the other have their offsets in that
    order.
    """

    @property
    def keeps(self) -> bool:
        """See above."""

    @property
    def failing(self) -> str:
        """See above."""

    async def start(self, inbox: Inbox) -> None:
        """Begin. Raises Unavailable only when waiting cannot help."""

    async def stop(self) -> None:
        """Release everything."""

    async def publish(self, channel: str, policy: ChannelPolicy, message: Message) -> Place:
        """Give a message its place. Whoever follows the channel here has it on return.

        Raises Unavailable.
        """

    async def follow(self, channel: str, policy: ChannelPolicy) -> Backlog:
        """Tell the inbox from now on what comes after the backlog. Raises Unavailable."""

    def unfollow(self, channel: str) -> None:
        """Tell it no more."""

    def attend(self, channel: str, user: str, connections: int) -> None:
        """A user has so many connections at this node in a channel now; 0 when he has gone."""

    async def attendance(self, channel: str, after: str | None, limit: int) -> Attendance:
        """Who is in a channel, of the page after a user, by name. Raises Unavailable."""

    async def order(self, order: Mapping[str, Any]) -> None:
        """Have it heard by all other nodes that are there now. Raises Unavailable."""
