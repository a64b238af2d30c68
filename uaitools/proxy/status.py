"""The gateway's own view of itself: metrics read from plain integers, and the report for status."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from time import monotonic
from typing import TYPE_CHECKING, Final

from uaitools.metrics import (
    DURATION,
    REQUESTS,
    Family,
    Histogram,
    HistogramValue,
    Registry,
    Sample,
    process,
)
from uaitools.proxy.report import (
    CheckReport,
    EndpointReport,
    InstanceReport,
    RegistryReport,
    Report,
    ServiceReport,
)
from uaitools.traffic.balancing import Ewma
from uaitools.traffic.breaker import OUT

if TYPE_CHECKING:
    from uaitools.proxy.gateway import Gateway
    from uaitools.proxy.pool import Pool
    from uaitools.proxy.series import Requests
    from uaitools.proxy.service import Service
    from uaitools.registry.client import Member
    from uaitools.traffic.endpoint import Endpoint

_MALFORMED: Final = Family(
    "proxy_malformed_requests_total", "counter", "Connections closed over what was no request."
)
_LIMITED: Final = Family("proxy_limited_total", "counter", "Requests over a limit, refused.")
_ROUND_TRIPS: Final = Family(
    "proxy_limit_round_trips_total", "counter", "Questions to Redis about limits."
)
_DEPENDENCY: Final = Family(
    "proxy_dependency_up", "gauge", "Workers that can reach what they depend on: redis, registry."
)
_HANDSHAKES: Final = Family(
    "proxy_tls_handshake_failures_total", "counter", "TLS handshakes that came to nothing."
)
_CLIENTS: Final = Family("proxy_client_connections", "gauge", "Open client connections.")
_LOGGED: Final = Family("proxy_access_log_lines_total", "counter", "Lines written.")
_DROPPED: Final = Family(
    "proxy_access_log_dropped_total", "counter", "Lines for which there was no room or no file."
)
_IN_FLIGHT: Final = Family("proxy_endpoint_in_flight", "gauge", "Requests in flight.")
_STATE: Final = Family(
    "proxy_endpoint_ejected", "gauge", "Workers that have the endpoint ejected or probing."
)
_OUTCOMES: Final = Family("proxy_endpoint_outcomes_total", "counter", "Ends of requests.")
_CONNECTIONS: Final = Family("proxy_pool_connections", "gauge", "Upstream connections.")
_CHECKOUTS: Final = Family(
    "proxy_pool_checkouts_total", "counter", "Connections taken: opened for it, or reused."
)
_RETRIES: Final = Family("proxy_retries_total", "counter", "Requests sent again.")
_ERRORS: Final = Family("proxy_upstream_errors_total", "counter", "Failures by their kind.")

_CHECKS: Final = Family("proxy_health_checks_total", "counter", "Active health checks made.")
_DOWN: Final = Family(
    "proxy_endpoint_down", "gauge", "Workers whose active checks have the endpoint down."
)


def registry(gateway: Gateway) -> Registry:
    """Every metric of a gateway and its process."""
    sources = Registry()
    sources.add(process)
    sources.add(lambda: _request_samples(gateway.requests))
    sources.add(lambda: _gateway_samples(gateway))
    sources.add(gateway.authenticator.samples)
    sources.add(gateway.discovery.samples)
    return sources


def report(gateway: Gateway, sources: Registry) -> Report:
    """This process's report."""
    return Report(
        sources.snapshot(),
        {name: _service_report(service, gateway) for name, service in gateway.services.items()},
    )


def document(whole: Report, service: str) -> dict[str, object]:
    """The body of GET /api/status, for orjson: environment, workers, and services by name.

    service: who says it.
    """
    return {
        "service": service,
        "environment": whole.environment,
        "workers": whole.workers,
        "services": {name: one.document() for name, one in sorted(whole.services.items())},
    }


def _request_samples(requests: Requests) -> Iterator[Sample]:
    for (method, endpoint), series in requests.items():
        labels = (("method", method), ("endpoint", endpoint))
        for status, count in series.statuses.items():
            yield Sample(REQUESTS, (*labels, ("status", str(status))), count)
        yield Sample(DURATION, labels, series.latency.value())


def _gateway_samples(gateway: Gateway) -> Iterator[Sample]:
    for limit, count in gateway.refusals.items():
        yield Sample(_LIMITED, (("limit", limit),), count)
    yield Sample(_ROUND_TRIPS, (), gateway.limits.round_trips)
    for name, works in gateway.dependencies.items():
        if works is not None:
            yield Sample(_DEPENDENCY, (("name", name),), int(works))
    yield Sample(_CLIENTS, (), len(gateway.clients))
    for status, count in gateway.malformed_counts.items():
        yield Sample(_MALFORMED, (("status", str(status)),), count)
    writer = gateway.access_writer
    if writer is not None:
        yield Sample(_LOGGED, (), writer.written)
        yield Sample(_DROPPED, (), writer.dropped)
    for kind, count in gateway.handshake_failures.items():
        yield Sample(_HANDSHAKES, (("kind", kind),), count)
    for name, service in gateway.services.items():
        label = ("service", name)
        yield Sample(_RETRIES, (label,), service.retries)
        for kind, count in service.errors.items():
            yield Sample(_ERRORS, (label, ("kind", kind)), count)
        yield from _endpoint_samples(service, label)


def _endpoint_samples(service: Service, label: tuple[str, str]) -> Iterator[Sample]:
    for endpoint, pool in service.pools.items():
        labels = (label, ("address", endpoint.address))
        breaker = endpoint.breaker
        out = breaker.state in OUT
        yield Sample(_IN_FLIGHT, labels, endpoint.in_flight)
        yield Sample(_STATE, labels, int(out))
        yield Sample(_OUTCOMES, (*labels, ("outcome", "success")), breaker.successes)
        yield Sample(_OUTCOMES, (*labels, ("outcome", "failure")), breaker.failures)
        yield Sample(_CONNECTIONS, (*labels, ("state", "open")), pool.open)
        yield Sample(_CONNECTIONS, (*labels, ("state", "idle")), len(pool.idle))
        yield Sample(_CHECKOUTS, (*labels, ("how", "opened")), pool.opened)
        yield Sample(_CHECKOUTS, (*labels, ("how", "reused")), pool.reused)
        record = endpoint.check
        if record is not None:
            yield Sample(_CHECKS, (*labels, ("result", "pass")), record.passes)
            yield Sample(_CHECKS, (*labels, ("result", "fail")), record.failures)
            yield Sample(_DOWN, labels, int(record.down))


def _service_report(service: Service, gateway: Gateway) -> ServiceReport:
    latency: HistogramValue = Histogram().value()
    for series in gateway.requests.of_endpoints(gateway.labels_of(service.name)):
        latency += series.latency.value()
    balancer, now = service.balancer, monotonic()
    return ServiceReport(
        endpoints={
            endpoint.address: EndpointReport(
                weight=endpoint.weight,
                state=endpoint.breaker.state.value,
                cause=endpoint.breaker.cause.value if endpoint.breaker.cause else None,
                numbers=_numbers(endpoint, pool),
                check=_check(endpoint),
                backup=endpoint.backup,
                latency=balancer.estimate(endpoint, now) if isinstance(balancer, Ewma) else None,
                instance=_instance(pool.sighting.member) if pool.sighting is not None else None,
            )
            for endpoint, pool in service.pools.items()
        },
        requests=service.requests,
        retries=service.retries,
        errors=dict(service.errors),
        last_error=service.last_error,
        latency=latency,
        balance=service.policy.balance,
        registry=_registry(service, gateway),
    )


def _registry(service: Service, gateway: Gateway) -> RegistryReport | None:
    settings = gateway.config.services.get(service.name)
    name = settings.registered(service.name) if settings is not None else None
    view = gateway.discovery.view(name) if name is not None else None
    if name is None or view is None:
        return None
    used = {pool.sighting.member.id for pool in service.pools.values() if pool.sighting is not None}
    out = tuple([_instance(one) for one in view.members if one.id not in used])
    return RegistryReport(name, view.index, view.epoch, view.stale, out)


def _instance(member: Member) -> InstanceReport:
    address = f"{member.host}:{member.port}"
    return InstanceReport(member.id, member.health.value, member.zone, member.generation, address)


def _check(endpoint: Endpoint) -> CheckReport | None:
    record = endpoint.check
    if record is None or record.last is None:
        return None
    return CheckReport(record.last, record.at)


def _numbers(endpoint: Endpoint, pool: Pool) -> Mapping[str, int]:
    return {
        "in_flight": endpoint.in_flight,
        "waiting": len(pool.waiters),
        "connections": pool.open,
        "idle": len(pool.idle),
        "successes": endpoint.breaker.successes,
        "failures": endpoint.breaker.failures,
        "opened": pool.opened,
        "reused": pool.reused,
    }
