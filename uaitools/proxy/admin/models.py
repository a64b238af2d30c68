"""What the admin API says and takes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

State = Literal["healthy", "ramping", "probing", "ejected", "drained"]
Milliseconds = float | None


class _Said(BaseModel):
    model_config = ConfigDict(frozen=True)


class EndpointView(_Said):
    """One endpoint, of all workers together: the worst state, the sums of the counts."""

    service: str
    address: str
    state: State
    cause: str | None
    weight: int
    in_flight: int
    waiting: int
    connections: int
    idle: int
    successes: int
    failures: int
    opened: int
    reused: int


class Latency(_Said):
    """Quantiles in milliseconds; null before the first request."""

    p50: Milliseconds
    p90: Milliseconds
    p99: Milliseconds


class ServiceView(_Said):
    """One service, of all workers together."""

    name: str
    balance: str
    requests: int
    retries: int
    successes: int
    failures: int
    in_flight: int
    errors: dict[str, int]
    last_error: str | None
    latency_ms: Latency
    pool_reuse_ratio: float | None
    endpoints: list[EndpointView]


class Services(_Said):
    """All services by name."""

    workers: int
    services: list[ServiceView]


class Endpoints(_Said):
    """All endpoints by service and address."""

    endpoints: list[EndpointView]


class RouteView(_Said):
    """One route as configured; see docs/configuration.md."""

    model_config = ConfigDict(frozen=True, extra="allow")

    path: str


class Routes(_Said):
    """The routes in the order of the configuration."""

    routes: list[RouteView]


class ConnectionView(_Said):
    """One client connection. pid: of its worker. doing: what its next bytes are."""

    pid: int
    client: str
    doing: Literal["head", "body", "wait", "discard", "linger", "tunnel"]
    held: int
    method: str | None
    route: str | None
    service: str | None
    endpoint: str | None


class Connections(_Said):
    """A page of the connections. total: of all. next: the offset of the next page, if any.

    Connections come and go between two pages. A worker that does not answer is left out.
    """

    total: int
    connections: list[ConnectionView]
    next: int | None


class Configuration(_Said):
    """The tables of the configuration in force, secrets replaced by asterisks."""

    proxy: dict[str, Any]
    auth: dict[str, Any]
    limits: dict[str, Any]


class Accepted(_Said):
    """An order that is on its way to every process."""

    status: Literal["accepted"] = "accepted"


class _Asked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Page(_Asked):
    """Which part of a listing: `limit` entries from `offset` on."""

    model_config = ConfigDict(strict=False)  # a query is text

    offset: Annotated[int, Field(ge=0, lt=1 << 53)] = 0
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class Which(_Asked):
    """An endpoint, by its service and its address as listings show it."""

    service: Annotated[str, Field(min_length=1, max_length=256)]
    address: Annotated[str, Field(min_length=1, max_length=256)]


class Eject(Which):
    """seconds: how long it stays out before its probe; left out, as the service's breaker says."""

    seconds: Annotated[float, Field(gt=0, le=86_400, strict=False)] | None = None


class Weigh(Which):
    """weight: the share beside the service's other endpoints; null for the configured one."""

    weight: Annotated[int, Field(ge=1, le=1000)] | None
