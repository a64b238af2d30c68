"""`[proxy.services.NAME]`: where a service is, and how it is called."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from uaitools.config import Model
from uaitools.proxy.config.checks import Check
from uaitools.proxy.config.sticky import Stickiness
from uaitools.proxy.config.tls import UpstreamTls
from uaitools.proxy.config.units import Count, Seconds
from uaitools.registry.client import NAME
from uaitools.traffic.retry import STATUSES

Registered = Annotated[str, Field(pattern=NAME)]
_PORTS: Final = {"http": 80, "https": 443}
_UNIX_PATH_LIMIT: Final = 107  # bytes of sun_path in sockaddr_un, without its final NUL
# Names are tokens (RFC 9110 5.6.2).
_HASHED: Final = re.compile(
    r"header:[!#$%&'*+\-.^`|~0-9A-Za-z]{1,100}|cookie:[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,100}|address|path"
)


class Timeouts(Model):
    """Patience with an upstream, in seconds.

    connect: to open a connection. first_byte: from the last byte sent to the first received.
    between_bytes: between two reads of a response.
    """

    connect: Seconds = 3
    first_byte: Seconds = 60
    between_bytes: Seconds = 60


class Limits(Model):
    """Bounds for each endpoint: open connections, requests waiting for one, requests in flight.

    concurrency: requests in flight to all endpoints together, of one worker; None for no bound.
    """

    connections: Count = 128
    pending: Annotated[int, Field(ge=0, le=1_000_000)] = 1024
    requests: Count = 1024
    concurrency: Count | None = None


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
    """When and how often a request is sent again; see uaitools.traffic.retry.

    tries: sends of one request at most, the first included. budget: retries per request.
    statuses: of answers after which it is; none when empty. respect_retry_after: wait as long as
    such an answer asks, and relay it where that is over max_delay seconds.
    """

    tries: Annotated[int, Field(ge=1, le=10)] = 2
    budget: Annotated[float, Field(ge=0, le=1)] = 0.2
    statuses: frozenset[Annotated[int, Field(ge=400, le=599)]] = STATUSES
    respect_retry_after: bool = True
    max_delay: Annotated[float, Field(ge=0, le=60)] = 2


class EndpointUrl(Model):
    """`http://HOST[:PORT]`, `https://...` or `unix:/path`, and its weight beside the others.

    backup: it gets requests only while no other endpoint can take them.
    """

    url: str
    weight: Annotated[int, Field(ge=1, le=1000)] = 1
    backup: bool = False

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
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ValueError("an endpoint is http://HOST[:PORT], https://HOST[:PORT] or unix:/path")
        if parts.path not in ("", "/") or parts.query or parts.fragment or "@" in parts.netloc:
            raise ValueError("an endpoint has no path, query or user; use the route's `rewrite`")
        if parts.port == 0:
            raise ValueError("an endpoint's port is 1 to 65535")
        return url

    @property
    def host_port(self) -> tuple[str, int]:
        """Host (a name or an address, without brackets) and port of an http or https endpoint."""
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or _PORTS[parts.scheme]

    @property
    def secure(self) -> bool:
        """Whether connections to it speak TLS."""
        return urlsplit(self.url).scheme == "https"


class ServiceSettings(Model):
    """One upstream service. A bare URL is shorthand for a service with that one endpoint.

    balance: which endpoint takes the next request; see uaitools.traffic.balancing. hash: what
    consistent_hash goes by. decay: seconds after which ewma has forgotten two thirds. sticky: who
    came once comes back to the same endpoint. registry: the name under which a registry knows its
    instances, true for the service's own; they are endpoints beside those written here.
    """

    endpoints: tuple[EndpointUrl, ...] = ()
    registry: bool | Registered = False
    balance: Literal["round_robin", "least_requests", "ewma", "consistent_hash", "random"] = (
        "round_robin"
    )
    hash: str | None = None
    decay: Annotated[float, Field(gt=0, le=3600)] | None = None
    sticky: Stickiness | None = None
    tls: UpstreamTls = UpstreamTls()
    timeouts: Timeouts = Timeouts()
    limits: Limits = Limits()
    breaker: Breaker = Breaker()
    retry: Retry = Retry()
    check: Check | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_string(cls, value: object) -> object:
        return {"endpoints": [value]} if isinstance(value, str) else value

    @field_validator("registry", mode="before")
    @classmethod
    def _from_environment(cls, value: object) -> object:
        # A variable has no booleans, and a text that is one would be a name.
        return value == "true" if value in ("true", "false") else value

    @field_validator("endpoints")
    @classmethod
    def _distinct(cls, endpoints: tuple[EndpointUrl, ...]) -> tuple[EndpointUrl, ...]:
        urls = [endpoint.url for endpoint in endpoints]
        if len(set(urls)) != len(urls):
            raise ValueError("an endpoint is listed twice; give it a weight instead")
        return endpoints

    @field_validator("hash")
    @classmethod
    def _known_source(cls, source: str | None) -> str | None:
        if source is not None and _HASHED.fullmatch(source) is None:
            raise ValueError(
                "`hash` is header:NAME, cookie:NAME, address or path; "
                "headers whose name has an underscore are never forwarded"
            )
        return source

    def registered(self, name: str) -> str | None:
        """What a registry calls this service, whose own name is `name`; None without a registry."""
        if isinstance(self.registry, str):
            return self.registry
        return name if self.registry else None

    @model_validator(mode="after")
    def _has_primaries(self) -> Self:
        backups = [endpoint.backup for endpoint in self.endpoints]
        if backups and all(backups) and not self.registry:
            raise ValueError("every endpoint is a backup; one at least has to be none")
        return self

    @model_validator(mode="after")
    def _belongs_to_policy(self) -> Self:
        if self.balance == "consistent_hash" and self.hash is None:
            raise ValueError(
                'balance = "consistent_hash" needs `hash`: '
                "header:NAME, cookie:NAME, address or path"
            )
        if self.balance != "consistent_hash" and self.hash is not None:
            raise ValueError('`hash` belongs to balance = "consistent_hash"; leave it out')
        if self.balance != "ewma" and self.decay is not None:
            raise ValueError('`decay` belongs to balance = "ewma"; leave it out')
        return self
