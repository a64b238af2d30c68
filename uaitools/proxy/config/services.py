"""`[proxy.services.NAME]`: where a service is, and how it is called."""

from __future__ import annotations

from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from uaitools.config import Model
from uaitools.proxy.config.tls import UpstreamTls
from uaitools.proxy.config.units import Count, Seconds

_PORTS: Final = {"http": 80, "https": 443}
_UNIX_PATH_LIMIT: Final = 107  # bytes of sun_path in sockaddr_un, without its final NUL


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
    """`http://HOST[:PORT]`, `https://...` or `unix:/path`, and its weight beside the others."""

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
    """One upstream service. A bare URL is shorthand for a service with that one endpoint."""

    endpoints: tuple[EndpointUrl, ...] = ()
    balance: Literal["round_robin"] = "round_robin"
    tls: UpstreamTls = UpstreamTls()
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
