"""A channel that an application reads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

from uaitools.hub.client.errors import HubError
from uaitools.hub.client.events import Event, Gap, Invalid, Message, Presence, Reset
from uaitools.hub.client.inbox import Inbox
from uaitools.hub.client.messages import Delivered, Reply, Restarted, Skipped, place_of
from uaitools.hub.client.track import Track
from uaitools.hub.place import Place

T = TypeVar("T")
Token = str | Callable[[], Awaitable[str]] | None
"""A credential, what makes one that is good now, or none."""
Read = Callable[[Message[Any]], Message[T] | Invalid]


async def current_token(token: Token) -> str | None:
    """The credential as it is now; what the application's function raises is raised."""
    return await token() if callable(token) else token


class Carrier(Protocol):
    """What a subscription needs of the client that it belongs to."""

    async def join(self, subscription: Subscription[Any]) -> None:
        """Subscribe. Raises HubError."""

    async def leave(self, subscription: Subscription[Any]) -> None:
        """Unsubscribe; never fails."""


class Subscription(Generic[T]):
    """Messages of a channel, and what there is to know of it, in their order.

        async with hub.subscribe("builds") as builds:
            async for event in builds:
                ...

    Entering the block subscribes, and raises HubError when that cannot be done. It goes on over
    all reconnects of the client until the block is left; reading raises HubError when the hub has
    ended it. token: for private channels, asked for each time that it is subscribed. size: of the
    queue of events; when nobody reads and it is full, nothing more is read from the connection.
    """

    __slots__ = (
        "_carrier",
        "_given",
        "_read",
        "channel",
        "ended",
        "filter",
        "inbox",
        "joined",
        "token",
        "track",
    )

    def __init__(
        self,
        channel: str,
        carrier: Carrier,
        *,
        size: int,
        filter: Mapping[str, Any] | None = None,  # noqa: A002 - the protocol's word
        recover: Place | None = None,
        token: Token = None,
        read: Read[T] | None = None,
    ) -> None:
        self.channel = channel
        self.filter = filter
        self.token = token
        self.track = Track(channel, recover)
        self.inbox: Inbox[Message[Any] | Gap | Reset | Presence] = Inbox(size)
        self.ended = False
        self.joined: asyncio.Future[HubError | None] | None = None  # done when it is known
        self._given = recover
        self._carrier = carrier
        self._read = read

    def __repr__(self) -> str:
        return f"<Subscription {self.channel} at {self.place} {self.inbox!r}>"

    @property
    def place(self) -> Place | None:
        """Of the last event that was read; a later subscription goes on from there as `recover`."""
        return self._given

    async def __aenter__(self) -> Self:
        if self.joined is not None:
            raise RuntimeError("a subscription is entered once; subscribe again for another one")
        self.joined = asyncio.get_running_loop().create_future()
        await self._carrier.join(self)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._carrier.leave(self)

    def __aiter__(self) -> AsyncIterator[Event[T]]:
        return self

    async def __anext__(self) -> Event[T]:
        """The next event. Raises HubError when the hub has ended it or the client is refused."""
        if self.joined is None:
            raise RuntimeError("a subscription is read inside its block: async with ... as ...")
        event = await self.inbox.get()
        if isinstance(event, Presence):
            return event
        self._given = event.place
        if isinstance(event, Message) and self._read is not None:
            return self._read(event)
        return event

    # -- what comes of connections ------------------------------------------------------------

    def subscribed(self, link: int, reply: Reply) -> None:
        """A connection has answered; errors are told otherwise. Raises Garbled."""
        if reply.type != "subscribed":
            return
        recovered = reply.document.get("recovered") is True
        event = self.track.subscribed(link, place_of(reply), recovered=recovered)
        if event is not None:
            self.inbox.put(event)
        elif self._given is None:
            self._given = self.track.place
        if self.track.follows(link) and self.joined is not None and not self.joined.done():
            self.joined.set_result(None)

    def take(self, link: int, said: Delivered | Skipped | Restarted | Presence) -> None:
        """A connection says something of the channel."""
        event: Message[Any] | Gap | Reset | Presence | None
        match said:
            case Delivered():
                event = self.track.message(link, said)
            case Skipped():
                event = self.track.gap(link, said.first, said.last)
            case Restarted():
                event = self.track.reset(link, said.place)
            case _:
                event = said if self.track.follows(link) else None
        if event is not None:
            self.inbox.put(event)

    def end(self, error: HubError | None = None) -> None:
        """Nothing more comes; why, or None if the application wanted it so."""
        self.ended = True
        self.inbox.end(error)
        if self.joined is not None and not self.joined.done():
            self.joined.set_result(error)
