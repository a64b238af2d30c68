"""Channels without a WebSocket: as server-sent events, and by long polls, from the same places."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from time import time
from typing import TYPE_CHECKING, Any, Final

import orjson
from aiohttp import web

from uaitools.auth.principal import GUEST, Principal
from uaitools.errors import ServiceError
from uaitools.hub.api import requests
from uaitools.hub.channel import Channel, Subscription
from uaitools.hub.closing import Closing
from uaitools.hub.commands import CommandError
from uaitools.hub.errors import SERVICE
from uaitools.hub.frames import split
from uaitools.hub.place import Place, read_places, write_places
from uaitools.hub.sockets.events import EventSocket
from uaitools.rest import query

if TYPE_CHECKING:
    from uaitools.hub.api.upgrade import Upgrade
    from uaitools.hub.hub import Hub
    from uaitools.hub.session import Session

_STATUS: Final = {"unauthorized": 401, "forbidden": 403}


class Following:
    """Handlers of streams and polls."""

    __slots__ = ("_hub", "_polls", "_upgrade")

    def __init__(self, hub: Hub, upgrade: Upgrade) -> None:
        self._hub = hub
        self._upgrade = upgrade
        self._polls: set[_Poll] = set()
        hub.on_leaving.append(self.close)

    def __repr__(self) -> str:
        return f"<Following polls={self.polls}>"

    @property
    def polls(self) -> int:
        """Polls that wait now."""
        return len(self._polls)

    def close(self) -> None:
        """Answer all who wait."""
        for poll in self._polls:
            poll.news.set()

    async def events(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/sse."""
        asked = query(request, requests.Following)
        last = request.headers.get("Last-Event-ID")
        session = await self._upgrade.session(request)
        socket = EventSocket(session, request)
        session.socket = socket
        try:
            channels, session.expiring = await self._channels(asked, session.principal)
            after = _after(asked.after if last is None else last)
            socket.begin([self._begin(session, socket, one, after) for one in channels])
        except BaseException:
            self._hub.left(session)
            raise
        self._hub.resume(session)
        return await socket.serve()

    def _begin(
        self, session: Session, socket: EventSocket, channel: Channel, after: dict[str, Place]
    ) -> dict[str, Any]:
        recovered, offset = channel.recover(after.get(channel.name))
        subscription = self._hub.members.subscribe(session, channel, None, offset)
        socket.places[channel.name] = subscription.place
        return _begun(subscription, recovered)

    async def poll(self, request: web.Request) -> bytes:
        """GET /v1/poll."""
        self._upgrade.check_origin(request)
        self._hub.check_room()
        asked = query(request, requests.Polling)
        principal, _ = await self._upgrade.principal(request)
        channels, expiring = await self._channels(asked, principal)
        after = _after(asked.after)
        wait = min((asked.wait, *(until - time() for until in expiring.values())))
        news = asyncio.Event()
        sinks = [_Poll(channel, after.get(channel.name), news) for channel in channels]
        self._polls.update(sinks)
        try:
            known = all(sink.recovered for sink in sinks)
            if known and not any(sink.look() for sink in sinks):
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await news.wait()
            places = {sink.channel.name: sink.place for sink in sinks}
            said = [sink.document() for sink in sinks]
        finally:
            self._polls.difference_update(sinks)
            for sink in sinks:
                sink.close()
        return orjson.dumps({"after": write_places(places), "channels": said})

    async def _channels(
        self, asked: requests.Following, principal: Principal
    ) -> tuple[list[Channel], dict[str, float]]:
        """The channels that are asked for, and when tokens for some of them end, in unix seconds.

        Raises ServiceError.
        """
        expiring: dict[str, float] = {}
        try:
            for name in asked.channel:
                until = self._granted(principal, name, asked.grant)
                self._hub.rules.check_reader(name, principal, granted=until is not None)
                if until is not None:
                    expiring[name] = until
        except CommandError as error:
            raise ServiceError(_STATUS.get(error.code, 400), str(error), SERVICE) from error
        names = dict.fromkeys(asked.channel)
        guest = principal == GUEST
        return [await self._hub.channels.open(name, guest=guest) for name in names], expiring

    def _granted(self, principal: Principal, name: str, grants: tuple[str, ...]) -> float | None:
        """Until when some token for a channel is good."""
        for grant in grants:
            with suppress(CommandError):  # it is for another one of the channels
                return self._hub.members.granted(principal, name, grant)
        return None


class _Poll:
    """A sink that takes what there is, once. recovered: None without a place to go on from."""

    def __init__(self, channel: Channel, place: Place | None, news: asyncio.Event) -> None:
        self.channel = channel
        self.news = news
        self.recovered, offset = channel.recover(place)
        self.paused = False
        self._messages: list[bytes] = []
        self._subscription = channel.subscribe(self, None, offset)

    @property
    def place(self) -> Place:
        """Up to where it has what there is."""
        return self._subscription.place

    def look(self) -> bool:
        """Take what there is already; whether there is any."""
        self.channel.catch_up(self._subscription)
        return bool(self._messages)

    def document(self) -> dict[str, Any]:
        """What the client gets."""
        messages = [orjson.Fragment(one) for one in self._messages]
        return {**_begun(self._subscription, self.recovered), "messages": messages}

    def close(self) -> None:
        """Take nothing more."""
        self.channel.unsubscribe(self._subscription)

    def deliver(self, data: bytes) -> None:
        """See channel.Sink."""
        self._messages += [text for _, text in split(data)]
        self.paused = True  # one answer is made of one piece
        self.news.set()

    def notice(self, _frame: bytes) -> None:
        """See channel.Sink: a poll is answered by messages."""

    def gap(self, _channel: Channel, _first: int, _last: int) -> None:
        """See channel.Sink."""
        self.recovered = False
        self.news.set()

    def reset(self, _channel: Channel) -> None:
        """See channel.Sink."""
        self.recovered = False
        self.news.set()

    def end(self, _closing: Closing) -> None:
        """See channel.Sink."""
        self.recovered = False
        self.news.set()


def _begun(subscription: Subscription, recovered: bool | None) -> dict[str, Any]:
    return {
        "channel": subscription.channel.name,
        **subscription.place.document,
        "recovered": recovered,
    }


def _after(text: str) -> dict[str, Place]:
    try:
        return read_places(text)
    except ValueError as error:
        raise ServiceError(422, f"after: {error}", SERVICE) from error
