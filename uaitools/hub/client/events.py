"""What a subscription gives to who reads it, and what commands are answered with. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from uaitools.hub.place import Place

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Message(Generic[T]):
    """One message of a channel.

    type: the publisher's word. timestamp: RFC 3339, UTC. user_id, repository_id: the publisher's.
    """

    channel: str
    epoch: str
    offset: int
    type: str
    timestamp: str
    data: T
    user_id: str | None = None
    repository_id: str | int | None = None

    @property
    def place(self) -> Place:
        """To subscribe with as `recover` by who has dealt with this one."""
        return Place(self.epoch, self.offset)


@dataclass(frozen=True, slots=True)
class Invalid:
    """A message whose data is not of the type that was asked for. error: pydantic's."""

    message: Message[Any]
    error: ValueError

    @property
    def channel(self) -> str:
        """Its channel."""
        return self.message.channel

    @property
    def place(self) -> Place:
        """See Message.place."""
        return self.message.place


@dataclass(frozen=True, slots=True)
class Gap:
    """The messages with these offsets, both included, will not come."""

    channel: str
    epoch: str
    first: int
    last: int

    @property
    def place(self) -> Place:
        """See Message.place."""
        return Place(self.epoch, self.last)


@dataclass(frozen=True, slots=True)
class Reset:
    """The hub has lost the channel's history and goes on from here; what is missing is unknown."""

    channel: str
    epoch: str
    offset: int

    @property
    def place(self) -> Place:
        """See Message.place."""
        return Place(self.epoch, self.offset)


@dataclass(frozen=True, slots=True)
class Presence:
    """Users who have come and gone within a second or so. users: how many are there now."""

    channel: str
    joined: Sequence[str]
    left: Sequence[str]
    users: int


Event = Message[T] | Invalid | Gap | Reset | Presence


@dataclass(frozen=True, slots=True)
class Direct:
    """What was sent to this very connection. It has no offset and cannot be recovered."""

    event: str
    timestamp: str
    data: Any


@dataclass(frozen=True, slots=True)
class Page:
    """Messages of a channel's history, the oldest first. place: of its newest message.

    lost: how many after the place that was asked from are not kept any more, None when its epoch
    is over. more: there are others after these.
    """

    place: Place
    messages: Sequence[Message[Any]]
    lost: int | None
    more: bool


@dataclass(frozen=True, slots=True)
class Attendance:
    """Who is in a channel: how many, and a page of them. next: to ask for the page after it."""

    users: int
    connections: int
    page: Mapping[str, int]
    next: str | None
