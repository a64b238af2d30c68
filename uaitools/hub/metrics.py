"""The hub's metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from uaitools.metrics import Family, Sample

if TYPE_CHECKING:
    from uaitools.hub.api.resources import Api
    from uaitools.hub.hub import Hub

_CONNECTIONS: Final = Family("hub_connections", "gauge", "Open connections by their kind.")
_POLLS: Final = Family("hub_polls", "gauge", "Long polls that wait.")
_CHANNELS: Final = Family("hub_channels", "gauge", "Channels that are open at this node.")
_SUBSCRIPTIONS: Final = Family("hub_subscriptions", "gauge", "Subscriptions of connections.")
_PUBLISHED: Final = Family("hub_published_total", "counter", "Messages published from here.")
_ARRIVED: Final = Family("hub_arrived_total", "counter", "Messages of channels open here.")
_CLOSED: Final = Family("hub_closed_total", "counter", "Connections that the hub ended, by code.")
_PINGS: Final = Family("hub_pings_total", "counter", "Pings sent to silent clients.")
_HELD: Final = Family(
    "hub_loop_held_seconds", "gauge", "The longest that a fan-out has held the loop.", "max"
)
_MEMORY: Final = Family("hub_memory_bytes", "gauge", "Memory that the process takes.")
_EACH: Final = Family(
    "hub_connection_bytes", "gauge", "Memory that a connection takes, on average.", "max"
)
_BROKER_UP: Final = Family(
    "hub_broker_up", "gauge", "Whether messages can be shared with other nodes.", "min"
)


def samples(hub: Hub, api: Api) -> Iterator[Sample]:
    """Everything that a hub counts."""
    kinds = Counter(one.socket.kind for one in hub.sessions)
    for kind, count in sorted(kinds.items()):
        yield Sample(_CONNECTIONS, (("kind", kind),), count)
    yield Sample(_POLLS, (), api.following.polls)
    yield Sample(_CHANNELS, (), len(hub.channels))
    yield Sample(_SUBSCRIPTIONS, (), sum(len(one.subscriptions) for one in hub.sessions))
    yield Sample(_PUBLISHED, (), hub.published)
    yield Sample(_ARRIVED, (), hub.channels.arrivals)
    for code, count in sorted(hub.closed.items()):
        yield Sample(_CLOSED, (("code", str(code)),), count)
    yield Sample(_PINGS, (), hub.sweep.pings)
    yield Sample(_HELD, (), hub.fanout.held)
    yield Sample(_MEMORY, (), hub.budget.used)
    yield Sample(_EACH, (), hub.budget.each(len(hub.sessions)))
    yield Sample(_BROKER_UP, (), float(not hub.broker.failing))
