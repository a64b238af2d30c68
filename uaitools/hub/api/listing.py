"""GET /connections: who is connected to this node, and how well they keep up."""

from __future__ import annotations

import asyncio
from heapq import nsmallest
from time import monotonic
from typing import TYPE_CHECKING

from aiohttp import web

from uaitools.hub.api import answers, requests
from uaitools.hub.channel import Subscription
from uaitools.rest import query

if TYPE_CHECKING:
    from uaitools.hub.hub import Hub
    from uaitools.hub.session import Session


class Listing:
    """The handler of lists of connections."""

    __slots__ = ("_hub",)

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def __repr__(self) -> str:
        return f"<Listing {self._hub.sessions!r}>"

    async def connections(self, request: web.Request) -> answers.Connections:
        """GET of a page of those that fit."""
        asked = query(request, requests.ConnectionsQuery)
        fitting = (one for one in self._hub.sessions if _fits(one, asked))
        # Not all are sorted for one page: there may be 10,000.
        page = nsmallest(asked.limit + 1, fitting, key=lambda one: one.id)
        more = len(page) > asked.limit
        page = page[: asked.limit]
        return answers.Connections(
            count=len(self._hub.sessions),
            page=[_view(one) for one in page],
            next=page[-1].id if more else None,
        )


def _fits(session: Session, asked: requests.ConnectionsQuery) -> bool:
    return (
        (asked.after is None or session.id > asked.after)
        and (asked.user is None or session.user == asked.user)
        and (asked.channel is None or asked.channel in session.subscriptions)
        and (not asked.lag or session.lag >= asked.lag)
    )


def _view(session: Session) -> answers.Connection:
    now, socket = asyncio.get_running_loop().time(), session.socket
    channels = [_subscribed(one) for one in list(session.subscriptions.values())]
    return answers.Connection(
        id=session.id,
        kind=socket.kind,
        user=session.user,
        address=session.address,
        age=round(now - session.since, 3),
        last_heard=round(now - socket.heard, 3),
        last_ping=round(now - session.pinged, 3) if session.pinged else None,
        lag=sum(one.lag for one in channels),
        lag_ms=max((one.lag_ms for one in channels), default=0),
        bytes_sent=socket.sent,
        bytes_kept=session.kept,
        channels=channels,
    )


def _subscribed(subscription: Subscription) -> answers.Subscribed:
    channel, lag = subscription.channel, subscription.lag
    came = channel.ring.came(max(subscription.offset, channel.ring.base) + 1) if lag else None
    return answers.Subscribed(
        channel=channel.name,
        offset=subscription.offset,
        lag=lag,
        lag_ms=0 if came is None else int((monotonic() - came) * 1000),
    )
