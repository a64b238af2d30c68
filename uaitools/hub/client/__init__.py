"""A client of the hub: reconnects, goes on where it was, and says what is missing.

From what an application calls to the wire:

    client        HubClient: subscribe, publish, history, presence, call
    subscription  a channel that is read; `inbox` holds what nobody has read yet
    session       stays connected and subscribed, and moves when a node asks for it
    connection    one WebSocket, from its handshake to its end

Pure:

    track         how far a subscription has got, over several connections
    messages      what the hub says, read
    events        what an application gets; `typed`, its data as types of its own
    errors, timing, backoff

The protocol is docs/hub-protocol.md. Nothing is imported here, pydantic only by who subscribes with
`data=`, and aiohttp's server by none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from uaitools.lazy import lazily

if TYPE_CHECKING:
    from uaitools.hub.client.client import HubClient
    from uaitools.hub.client.errors import (
        Ended,
        Garbled,
        HubError,
        Interrupted,
        Refused,
        Unreachable,
        Unsubscribed,
    )
    from uaitools.hub.client.events import (
        Attendance,
        Direct,
        Event,
        Gap,
        Invalid,
        Message,
        Page,
        Presence,
        Reset,
    )
    from uaitools.hub.client.subscription import Subscription
    from uaitools.hub.client.timing import Timing
    from uaitools.hub.place import Place

__all__ = [
    "Attendance",
    "Direct",
    "Ended",
    "Event",
    "Gap",
    "Garbled",
    "HubClient",
    "HubError",
    "Interrupted",
    "Invalid",
    "Message",
    "Page",
    "Place",
    "Presence",
    "Refused",
    "Reset",
    "Subscription",
    "Timing",
    "Unreachable",
    "Unsubscribed",
]

_HOMES = {
    "Attendance": "uaitools.hub.client.events",
    "Direct": "uaitools.hub.client.events",
    "Ended": "uaitools.hub.client.errors",
    "Event": "uaitools.hub.client.events",
    "Gap": "uaitools.hub.client.events",
    "Garbled": "uaitools.hub.client.errors",
    "HubClient": "uaitools.hub.client.client",
    "HubError": "uaitools.hub.client.errors",
    "Interrupted": "uaitools.hub.client.errors",
    "Invalid": "uaitools.hub.client.events",
    "Message": "uaitools.hub.client.events",
    "Page": "uaitools.hub.client.events",
    "Place": "uaitools.hub.place",
    "Presence": "uaitools.hub.client.events",
    "Refused": "uaitools.hub.client.errors",
    "Reset": "uaitools.hub.client.events",
    "Subscription": "uaitools.hub.client.subscription",
    "Timing": "uaitools.hub.client.timing",
    "Unreachable": "uaitools.hub.client.errors",
    "Unsubscribed": "uaitools.hub.client.errors",
}

__getattr__ = lazily(__name__, _HOMES)
