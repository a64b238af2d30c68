"""Clients of the registry: who is there, and how to be there.

    registration  keeps an instance registered, and drains it before it goes
    announcement  a server of ours that is registered while it serves
    lease         what it says next, and when
    api           the REST calls that this takes; `errors` of them
    service_client   calls a service's instances, in `calls`
    watcher       keeps up with services over one WebSocket; what is known stays when it is lost
    subscription  a service that is watched, and when a new view is applied
    connection    one WebSocket, from its handshake to its end
    cache         the last known lists on disk
    view          what is known of a service, and how messages change it
    member        one instance in it; `placing` says which of them get requests
    messages      what is said over the WebSocket; `fields` reads what need not be what it should
    outbox        what is still to be said, collected; `reporting` of what was seen
    registries    where registries are, and the credential for them
    timing, backoff   how patient a client is
    config        [registry.client]

I/O and the clock: registration, announcement, api, service_client, watcher, subscription,
reporting, connection, cache; else pure.
Nothing is imported here, pydantic only by `config`, and aiohttp's server by none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from uaitools.lazy import lazily

if TYPE_CHECKING:
    from uaitools.registry.client.announcement import Announced
    from uaitools.registry.client.calls.context import carried
    from uaitools.registry.client.calls.policy import CallPolicy
    from uaitools.registry.client.config import RegistryClientConfig, RegistryTable
    from uaitools.registry.client.errors import Away, Refused
    from uaitools.registry.client.member import Member
    from uaitools.registry.client.placing import NOBODY, Placed, Placement, place
    from uaitools.registry.client.registration import Registration, register
    from uaitools.registry.client.registries import Token
    from uaitools.registry.client.reporting import report_for_ever
    from uaitools.registry.client.service_client import ServiceClient
    from uaitools.registry.client.subscription import Watched
    from uaitools.registry.client.timing import Timing
    from uaitools.registry.client.view import View
    from uaitools.registry.client.watcher import Watcher
    from uaitools.registry.evidence import State
    from uaitools.registry.model import NAME, Check, Load
    from uaitools.registry.observation import Observation

__all__ = [
    "NAME",
    "NOBODY",
    "Announced",
    "Away",
    "CallPolicy",
    "Check",
    "Load",
    "Member",
    "Observation",
    "Placed",
    "Placement",
    "Refused",
    "Registration",
    "RegistryClientConfig",
    "RegistryTable",
    "ServiceClient",
    "State",
    "Timing",
    "Token",
    "View",
    "Watched",
    "Watcher",
    "carried",
    "place",
    "register",
    "report_for_ever",
]

_HOMES = {
    "NAME": "uaitools.registry.model",
    "NOBODY": "uaitools.registry.client.placing",
    "Announced": "uaitools.registry.client.announcement",
    "Away": "uaitools.registry.client.errors",
    "CallPolicy": "uaitools.registry.client.calls.policy",
    "Check": "uaitools.registry.model",
    "Load": "uaitools.registry.model",
    "Member": "uaitools.registry.client.member",
    "Observation": "uaitools.registry.observation",
    "Placed": "uaitools.registry.client.placing",
    "Placement": "uaitools.registry.client.placing",
    "Refused": "uaitools.registry.client.errors",
    "Registration": "uaitools.registry.client.registration",
    "RegistryClientConfig": "uaitools.registry.client.config",
    "RegistryTable": "uaitools.registry.client.config",
    "ServiceClient": "uaitools.registry.client.service_client",
    "State": "uaitools.registry.evidence",
    "Timing": "uaitools.registry.client.timing",
    "Token": "uaitools.registry.client.registries",
    "View": "uaitools.registry.client.view",
    "Watched": "uaitools.registry.client.subscription",
    "Watcher": "uaitools.registry.client.watcher",
    "carried": "uaitools.registry.client.calls.context",
    "place": "uaitools.registry.client.placing",
    "register": "uaitools.registry.client.registration",
    "report_for_ever": "uaitools.registry.client.reporting",
}

__getattr__ = lazily(__name__, _HOMES)
