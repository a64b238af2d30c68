"""The proxy's configuration: the `[proxy]` table of uaitools.toml, checked whole at start."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from uaitools.config import Address, ListenAddress, Model
from uaitools.proxy.http1.grammar import MessageError
from uaitools.proxy.http1.target import normalise

Seconds = Annotated[float, Field(gt=0, le=86_400)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]

_PATH = re.compile(r"/[!$&'()*+,;=:@%A-Za-z0-9\-._~/]*")
_METHOD = re.compile(r"[A-Z]{1,32}")
_UNIX_PATH_LIMIT = 107  # bytes of sun_path in sockaddr_un, without its final NUL


class Timeouts(Model):
    """Patience with an upstream, in seconds.

    connect: to open a connection. first_byte: from the last byte sent to the first received.
    between_bytes: between two reads of a response.
    """

    connect: Seconds = 3
    first_byte: Seconds = 60
    between_bytes: Seconds = 60


class Limits(Model):
    """Bounds for each endpoint: open connections, requests waiting for one, requests in flight."""

    connections: Count = 128
    pending: Annotated[int, Field(ge=0, le=1_000_000)] = 1024
    requests: Count = 1024


class Breaker(Model):
    """When an endpoint is ejected and for how long; see uaitools.traffic.breaker.

    failures: consecutive ones. connect_errors: in a row. ratio: of failures in `window` seconds
    with at least `minimum` requests. eject: seconds out, doubled each time, up to eject_max.
    ramp: seconds from the first good probe to the full share.
    """

    failures: Count = 5
    connect_errors: Count = 3
    ratio: Annotated[float, Field(gt=0, le=1)] = 0.5
    window: Seconds = 10
    minimum: Count = 20
    eject: Seconds = 10
    eject_max: Seconds = 300
    ramp: Annotated[float, Field(ge=0, le=3600)] = 10


class Retry(Model):
    """tries: sends of one request at most, the first included. budget: retries per request."""

    tries: Annotated[int, Field(ge=1, le=10)] = 2
    budget: Annotated[float, Field(ge=0, le=1)] = 0.2


class EndpointUrl(Model):
    """`http://HOST[:PORT]` or `unix:/path`, and its weight beside the service's other endpoints."""

    url: str
    weight: Annotated[int, Field(ge=1, le=1000)] = 1

    @model_validator(mode="before")
    @classmethod
    def _from_string(cls, value: object) -> object:
        return {"url": value} if isinstance(value, str) else value

    @field_validator("url")
    @classmethod
    def _known_form(cls, url: str) -> str:
        if url.startswith("unix:"):
            path = url.removeprefix("unix:")
            if not path.startswith("/"):
                raise ValueError("a unix endpoint needs an absolute path: unix:/run/app.sock")
            if len(path.encode()) > _UNIX_PATH_LIMIT:
                raise ValueError(f"a unix socket's path is at most {_UNIX_PATH_LIMIT} bytes long")
            return url
        parts = urlsplit(url)
        if parts.scheme == "https":
            raise ValueError("https endpoints are not supported yet; use http:// or unix:")
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError("an endpoint is http://HOST[:PORT] or unix:/path")
        if parts.path not in ("", "/") or parts.query or parts.fragment or "@" in parts.netloc:
            raise ValueError("an endpoint has no path, query or user; use the route's `rewrite`")
        if parts.port == 0:
            raise ValueError("an endpoint's port is 1 to 65535")
        return url

    @property
    def host_port(self) -> tuple[str, int]:
        """Host (a name or an address, without brackets) and port of an http endpoint."""
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or 80


class ServiceSettings(Model):
    """One upstream service. A bare URL is shorthand for a service with that one endpoint."""

    endpoints: tuple[EndpointUrl, ...] = ()
    balance: Literal["round_robin"] = "round_robin"
    timeouts: Timeouts = Timeouts()
    limits: Limits = Limits()
    breaker: Breaker = Breaker()
    retry: Retry = Retry()

    @model_validator(mode="before")
    @classmethod
    def _from_string(cls, value: object) -> object:
        return {"endpoints": [value]} if isinstance(value, str) else value

    @field_validator("endpoints")
    @classmethod
    def _distinct(cls, endpoints: tuple[EndpointUrl, ...]) -> tuple[EndpointUrl, ...]:
        urls = [endpoint.url for endpoint in endpoints]
        if len(set(urls)) != len(urls):
            raise ValueError("an endpoint is listed twice; give it a weight instead")
        return endpoints


class RouteSettings(Model):
    """One route: requests whose path begins with `path` go to `service`.

    methods: those allowed, all when empty. rewrite: replaces the prefix. max_body: bytes.
    """

    path: str
    service: str
    methods: tuple[str, ...] = ()
    rewrite: str | None = None
    max_body: Annotated[int, Field(ge=0)] | None = None

    @field_validator("path", "rewrite")
    @classmethod
    def _path(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if not _PATH.fullmatch(value):
            raise ValueError("a path begins with '/' and has no query; other bytes are escaped")
        try:
            normal = normalise(value.encode()).decode()
        except MessageError as error:
            raise ValueError(error.message) from error
        if normal != value:
            # Requests are matched in this form: any other spelling would match none of them.
            raise ValueError(f"a path is written in its normal form, {normal}")
        if value.endswith("*"):
            raise ValueError("a path is a prefix already: leave out the '*'")
        return value

    @field_validator("methods")
    @classmethod
    def _methods(cls, methods: tuple[str, ...]) -> tuple[str, ...]:
        for method in methods:
            if not _METHOD.fullmatch(method):
                raise ValueError(f"{method!r} is not a method; methods are upper-case: GET")
        return methods


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


DEFAULT_ROUTES = (
    RouteSettings(path="/api/chat", methods=("POST",), service="llm-router"),
    RouteSettings(path="/api/memory", service="memory", rewrite="/memories"),
)


class ProxyConfig(Model):
    """The `[proxy]` table."""

    listen: ListenAddress = Address("127.0.0.1", 8081)
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    client: ClientLimits = ClientLimits()
    services: dict[str, ServiceSettings] = Field(default_factory=dict)
    routes: tuple[RouteSettings, ...] = DEFAULT_ROUTES

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
