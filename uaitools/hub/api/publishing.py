"""What is sent to channels, users and connections, and what is known of channels."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import orjson
from aiohttp import web

from uaitools.errors import ServiceError
from uaitools.hub.actions import history_document
from uaitools.hub.api import answers, requests
from uaitools.hub.commands import CHANNEL
from uaitools.hub.errors import SERVICE, BadData
from uaitools.hub.place import Place
from uaitools.hub.rules import ALL, USER
from uaitools.rest import body, query

if TYPE_CHECKING:
    from uaitools.hub.hub import Hub


_CHANNEL: Final = re.compile(CHANNEL)


class Publishing:
    """Handlers of what services say to clients."""

    __slots__ = ("_hub",)

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def __repr__(self) -> str:
        return f"<Publishing published={self._hub.published}>"

    async def publish(self, request: web.Request) -> answers.Published:
        """POST of a message for a channel."""
        said = await body(request, requests.Publication, SERVICE)
        return await self._send(said.channel, said)

    async def broadcast(self, request: web.Request) -> answers.Published:
        """POST of a message for everybody."""
        return await self._send(ALL, await body(request, requests.Said, SERVICE))

    async def send(self, request: web.Request) -> answers.Published:
        """POST of a message for a user."""
        channel = _channel(USER + request.match_info["id"])
        return await self._send(channel, await body(request, requests.Said, SERVICE))

    async def direct(self, request: web.Request) -> answers.Delivered:
        """POST of a notice for one connection."""
        said = await body(request, requests.Direct, SERVICE)
        connection = request.match_info["id"]
        here = await self._hub.send_to_connection(connection, said.data, event=said.type)
        return answers.Delivered(here=here)

    async def disconnect(self, request: web.Request) -> answers.Disconnected:
        """POST of whose connections end."""
        said = await body(request, requests.Disconnect, SERVICE)
        here = await self._hub.disconnect(user=said.user or "", connection=said.connection or "")
        return answers.Disconnected(here=here)

    async def presence(self, request: web.Request) -> bytes:
        """GET of who is in a channel."""
        asked = query(request, requests.PresenceQuery)
        channel = _channel(request.match_info["channel"])
        return orjson.dumps(await self._hub.attendance(channel, asked.after, asked.limit))

    async def history(self, request: web.Request) -> bytes:
        """GET of what was said in a channel."""
        asked = query(request, requests.HistoryQuery)
        channel = _channel(request.match_info["channel"])
        since = None if asked.epoch is None else Place(asked.epoch, asked.offset)
        page = await self._hub.history(channel, since, asked.limit)
        return orjson.dumps(history_document(channel, page))

    async def _send(self, channel: str, said: requests.Said) -> answers.Published:
        try:
            place = await self._hub.publish(
                channel,
                said.data,
                type=said.type,
                repository_id=said.repository_id,
                user_id=said.user_id,
                exclude=said.exclude,
            )
        except BadData as error:
            raise ServiceError(422, str(error), SERVICE) from error
        return answers.Published(channel=channel, epoch=place.epoch, offset=place.offset)


def _channel(name: str) -> str:
    if _CHANNEL.fullmatch(name) is None:
        reason = "a channel has 1 to 128 printable ASCII characters without blanks"
        raise ServiceError(422, reason, SERVICE)
    return name
