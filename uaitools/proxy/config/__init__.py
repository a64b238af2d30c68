"""The proxy's configuration: the `[proxy]` table of uaitools.toml, checked whole at start.

tls        [proxy.tls], and what services prove
services   [proxy.services.NAME]: where a service is, and how it is called
checks     how a service's endpoints are checked
routes     [[proxy.routes]]: which requests go where
actions    what becomes of them beside that: split, redirect, answer, header fields
sticky     [proxy.sticky] and a service's `sticky`
secret     text that is shown to nobody
registry   [registry.client]: where services are found
access     [proxy.access_log]: one line a request
units      what several of them are made of
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Final, Self

from pydantic import Field, SecretStr, model_validator

from uaitools.config import Address, ListenAddress, Model
from uaitools.cors import CorsSettings
from uaitools.limits.config import LimitSettings
from uaitools.proxy.config.access import AccessLogSettings
from uaitools.proxy.config.checks import Check
from uaitools.proxy.config.routes import DEFAULT_ROUTES, RouteSettings, RouteTimeouts
from uaitools.proxy.config.services import (
    Breaker,
    EndpointUrl,
    Limits,
    Retry,
    ServiceSettings,
    Timeouts,
)
from uaitools.proxy.config.sticky import Stickiness, StickySecret
from uaitools.proxy.config.tls import CertificateFiles, ListenerTls, UpstreamTls
from uaitools.proxy.config.units import Seconds
from uaitools.registry.client import RegistryTable

__all__ = [
    "DEFAULT_ROUTES",
    "KEPT",
    "REGISTRY_MISSING",
    "AccessLogSettings",
    "Breaker",
    "CertificateFiles",
    "Check",
    "ClientLimits",
    "EndpointUrl",
    "Limits",
    "ListenerTls",
    "ProxyConfig",
    "RegistryTable",
    "Retry",
    "RouteSettings",
    "RouteTimeouts",
    "ServiceSettings",
    "Stickiness",
    "StickySecret",
    "Timeouts",
    "UpstreamTls",
]


class ClientLimits(Model):
    """Patience with clients, in seconds, and bounds for what they may make the proxy hold.

    header: for a whole head, from its first byte. body: between two reads of a body. idle:
    between two requests. write: without progress while a client does not read. tunnel: without
    a byte either way. half_close: a client that sends FIN still wants its answers; else it is gone,
    and its request is cancelled. connections: open at once, 0 for what the file limit allows.
    buffer: bytes held for clients that read slowly, in all; the slowest are cut off beyond.
    """

    header: Seconds = 10
    body: Seconds = 30
    idle: Seconds = 75
    write: Seconds = 60
    tunnel: Seconds = 3600
    half_close: bool = False
    connections: Annotated[int, Field(ge=0)] = 0
    buffer: Annotated[int, Field(ge=1 << 20)] = 256 << 20


# What a reload leaves as it was: sockets, processes, the own application, and who may give orders.
KEPT: Final = ("listen", "workers", "cors", "admin", "admin_token")
REGISTRY_MISSING: Final = "set registry.client.url to where that listens"
AdminToken = Annotated[SecretStr, Field(min_length=16, max_length=512)]


class ProxyConfig(Model):
    """The `[proxy]` table.

    auth_enabled: whether routes that say nothing about it need credentials; left out, they do as
    soon as `[auth]` accepts any. rate_limit: of the requests of one caller to all routes together
    that have no limits of their own. admin, admin_token: see uaitools.proxy.admin.
    """

    listen: ListenAddress = Address("127.0.0.1", 8081)
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    auth_enabled: bool | None = None
    rate_limit: LimitSettings | None = None
    tls: ListenerTls | None = None
    client: ClientLimits = ClientLimits()
    sticky: StickySecret = StickySecret()
    access_log: AccessLogSettings = AccessLogSettings()
    cors: CorsSettings | None = None
    admin: ListenAddress | None = None
    admin_token: AdminToken | None = None
    services: dict[str, ServiceSettings] = Field(default_factory=dict)
    routes: tuple[RouteSettings, ...] = DEFAULT_ROUTES

    def keeping(self, old: ProxyConfig) -> ProxyConfig:
        """The same with what only a restart changes as it is in `old`: whatever has a socket."""
        kept: dict[str, object] = {name: getattr(old, name) for name in KEPT}
        if self.tls is None or old.tls is None:
            kept["tls"] = old.tls
        else:
            sockets = {"redirect": old.tls.redirect, "public_port": old.tls.public_port}
            kept["tls"] = self.tls.model_copy(update=sockets)
        return self.model_copy(update=kept)

    def pinned(self, kept: ProxyConfig) -> list[str]:
        """The keys that differ from `kept`, see `keeping`: they wait for a restart."""
        return [
            f"proxy.{name}"
            for name in ProxyConfig.model_fields
            if getattr(self, name) != getattr(kept, name)
        ]

    def asking(self) -> list[str]:
        """The keys of what asks for credentials, which needs `[auth]`."""
        keys = ["proxy.auth_enabled"] if self.auth_enabled else []
        for index, route in enumerate(self.routes):
            asking = {
                "auth": route.auth in ("required", "optional"),
                "scopes": route.scopes,
                "roles": route.roles,
            }
            keys += [f"proxy.routes[{index}].{name}" for name, asks in asking.items() if asks]
        return keys

    @property
    def registered(self) -> frozenset[str]:
        """The names under which services have instances in a registry."""
        names = (service.registered(name) for name, service in self.services.items())
        return frozenset(name for name in names if name is not None)

    @model_validator(mode="after")
    def _distinct_cookies(self) -> Self:
        seen: dict[str, str] = {}
        for name, service in self.services.items():
            if service.sticky is None:
                continue
            other = seen.setdefault(service.sticky.cookie, name)
            if other != name:
                raise ValueError(
                    f"services.{other} and services.{name} would overwrite each other's cookie "
                    f"{service.sticky.cookie}; give one `sticky` another `cookie`"
                )
        return self

    @model_validator(mode="after")
    def _guarded_admin(self) -> Self:
        if self.admin is not None and not self.admin.loopback and self.admin_token is None:
            raise ValueError(f"others can reach admin at {self.admin}: set admin_token")
        return self

    @model_validator(mode="after")
    def _distinct_routes(self) -> Self:
        seen: dict[object, int] = {}
        for index, route in enumerate(self.routes):
            for method in route.methods or ("any method",):
                key = route.collides(method)
                if key in seen:
                    first = seen[key]
                    raise ValueError(
                        f"routes[{first}] and routes[{index}] both take {method} on {route.label}"
                    )
                seen[key] = index
        return self
