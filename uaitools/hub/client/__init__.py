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
    "client": ("HubClient",),
    "errors": (
        "Ended",
        "Garbled",
        "HubError",
        "Interrupted",
        "Refused",
        "Unreachable",
        "Unsubscribed",
    ),
    "events": (
        "Attendance",
        "Direct",
        "Event",
        "Gap",
        "Invalid",
        "Message",
        "Page",
        "Presence",
        "Reset",
    ),
    "subscription": ("Subscription",),
    "timing": ("Timing",),
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for."""
    from importlib import import_module  # noqa: PLC0415 - only now

    if name == "Place":
        return import_module("uaitools.hub.place").Place
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
