"""The proxy's configuration: the `[proxy]` table of uaitools.toml, checked whole at start.

tls        [proxy.tls], and what services prove
services   [proxy.services.NAME]: where a service is, and how it is called
routes     [[proxy.routes]]: which requests go where
units      what several of them are made of
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Self

from pydantic import Field, model_validator

from uaitools.config import Address, ListenAddress, Model
from uaitools.proxy.config.routes import DEFAULT_ROUTES, RouteSettings
from uaitools.proxy.config.services import (
    Breaker,
    EndpointUrl,
    Limits,
    Retry,
    ServiceSettings,
    Timeouts,
)
from uaitools.proxy.config.tls import CertificateFiles, ListenerTls, UpstreamTls
from uaitools.proxy.config.units import Seconds

__all__ = [
    "DEFAULT_ROUTES",
    "Breaker",
    "CertificateFiles",
    "ClientLimits",
    "EndpointUrl",
    "Limits",
    "ListenerTls",
    "ProxyConfig",
    "Retry",
    "RouteSettings",
    "ServiceSettings",
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


class ProxyConfig(Model):
    """The `[proxy]` table."""

    listen: ListenAddress = Address("127.0.0.1", 8081)
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    tls: ListenerTls | None = None
    client: ClientLimits = ClientLimits()
    services: dict[str, ServiceSettings] = Field(default_factory=dict)
    routes: tuple[RouteSettings, ...] = DEFAULT_ROUTES

    def keeping(self, old: ProxyConfig) -> ProxyConfig:
        """The same with what only a restart changes as it is in `old`: whatever has a socket."""
        kept: dict[str, object] = {"listen": old.listen, "workers": old.workers}
        if self.tls is None or old.tls is None:
            kept["tls"] = old.tls
        else:
            sockets = {"redirect": old.tls.redirect, "public_port": old.tls.public_port}
            kept["tls"] = self.tls.model_copy(update=sockets)
        return self.model_copy(update=kept)

    @model_validator(mode="after")
    def _distinct_routes(self) -> Self:
        seen: dict[tuple[str, str], int] = {}
        for index, route in enumerate(self.routes):
            for method in route.methods or ("any method",):
                key = (route.path.rstrip("/"), method)
                if key in seen:
                    first = seen[key]
                    raise ValueError(
                        f"routes[{first}] and routes[{index}] both take {method} on {route.path}"
                    )
                seen[key] = index
        return self
