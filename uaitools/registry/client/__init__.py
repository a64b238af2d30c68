"""Clients of the registry: who is there, and how to be there.

    watcher       keeps up with services over one WebSocket; what is known stays when it is lost
    connection    one WebSocket, from its handshake to its end
    cache         the last known lists on disk
    view          what is known of a service, and how messages change it
    member        one instance in it
    messages      what is said over the WebSocket; `fields` reads what need not be what it should
    outbox        what is still to be said, collected
    observation   what a caller has seen of an instance
    registries    where registries are, and the credential for them
    timing, backoff   how patient a client is

Sockets, files and the clock are in watcher, connection and cache; the others are pure. Nothing is
imported here, and neither aiohttp's server nor pydantic anywhere but in `config`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uaitools.registry.client.member import Member
    from uaitools.registry.client.observation import Observation
    from uaitools.registry.client.registries import Token
    from uaitools.registry.client.timing import Timing
    from uaitools.registry.client.view import View
    from uaitools.registry.client.watcher import Watched, Watcher

__all__ = ["Member", "Observation", "Timing", "Token", "View", "Watched", "Watcher"]

_HOMES = {
    "Member": "uaitools.registry.client.member",
    "Observation": "uaitools.registry.client.observation",
    "Timing": "uaitools.registry.client.timing",
    "Token": "uaitools.registry.client.registries",
    "View": "uaitools.registry.client.view",
    "Watched": "uaitools.registry.client.watcher",
    "Watcher": "uaitools.registry.client.watcher",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for: a list alone needs no connection."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - only now

    return getattr(import_module(_HOMES[name]), name)
