"""The HTTP resources of a hub: which handler answers what, and what OpenAPI says of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from aiohttp import web

from uaitools.auth.middleware import OPERATIONS
from uaitools.hub.api import answers, requests
from uaitools.hub.api.following import Following
from uaitools.hub.api.listing import Listing
from uaitools.hub.api.publishing import Publishing
from uaitools.hub.api.upgrade import Upgrade
from uaitools.hub.commands import CHANNEL
from uaitools.hub.errors import SERVICE
from uaitools.hub.rules import PUBLISH
from uaitools.openapi import Described
from uaitools.rest import Resource, serve

if TYPE_CHECKING:
    from uaitools.hub.hub import Hub

_CHANNEL: Final = r"{channel:[\s\S]+}"  # line breaks as well: they are refused with a reason
_NAMES: Final = {"channel": CHANNEL}
_USERS: Final = {"id": r"^[!-~]{1,123}$"}  # those that have a channel


class Api:
    """What a hub says and takes over HTTP."""

    def __init__(self, hub: Hub) -> None:
        self._upgrade = Upgrade(hub)
        self.following = Following(hub, self._upgrade)
        self._publishing = Publishing(hub)
        self._listing = Listing(hub)

    def __repr__(self) -> str:
        return f"<Api {self._upgrade!r} {self.following!r}>"

    def add_to(self, app: web.Application, *, secured: bool) -> None:
        """Add everything to an application. secured: OpenAPI says that a token is needed."""
        app.router.add_get("/ws", self._upgrade.websocket)
        described = Described(
            "uaitools hub", "Messages for channels, users and connections.", secured
        )
        serve(app, SERVICE, self._resources(), described)

    def _resources(self) -> Iterable[Resource]:
        publishing, following = self._publishing, self.following
        return (
            Resource(
                "GET", "/connections", self._listing.connections, "Who is connected to this node",
                answers.Connections, query=requests.ConnectionsQuery, scope=OPERATIONS,
            ),
            Resource(
                "POST", "/v1/publish", publishing.publish, "Send a message to a channel",
                answers.Published, requests.Publication, scope=PUBLISH,
            ),
            Resource(
                "POST", "/v1/broadcast", publishing.broadcast, "Send a message to everybody",
                answers.Published, requests.Said, scope=PUBLISH,
            ),
            Resource(
                "POST", "/v1/users/{id}/send", publishing.send, "Send a message to a user",
                answers.Published, requests.Said, scope=PUBLISH, patterns=_USERS,
            ),
            Resource(
                "POST", "/v1/connections/{id}/send", publishing.direct,
                "Send a notice to a connection",
                answers.Delivered, requests.Direct, scope=PUBLISH,
            ),
            Resource(
                "POST", "/v1/disconnect", publishing.disconnect, "End connections",
                answers.Disconnected, requests.Disconnect, scope=PUBLISH,
            ),
            Resource(
                "GET", f"/v1/presence/{_CHANNEL}", publishing.presence, "Who is in a channel",
                answers.Attendance, query=requests.PresenceQuery, scope=PUBLISH,
                patterns=_NAMES,
            ),
            Resource(
                "GET", f"/v1/history/{_CHANNEL}", publishing.history, "What was said in a channel",
                answers.History, query=requests.HistoryQuery, scope=PUBLISH,
                patterns=_NAMES,
            ),
            Resource(
                "GET", "/v1/sse", following.events, "Channels as server-sent events",
                query=requests.Following, errors=(400, 401, 403, 429), access="optional",
                streams=("text/event-stream",),
            ),
            Resource(
                "GET", "/v1/poll", following.poll, "Channels by long poll",
                answers.Polled, query=requests.Polling, errors=(400, 401, 403), access="optional",
            ),
        )  # fmt: skip
