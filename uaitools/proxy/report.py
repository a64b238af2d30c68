"""What one process knows about its services, as a plain value: summed over workers, then shown.

The document of /api/status is made from it. Counts add; of a circuit's states the worst counts,
because an operator asks where the trouble is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from uaitools.metrics import HistogramValue, Snapshot

_SEVERITY: Final = ("healthy", "ramping", "probing", "ejected", "drained")
_GAUGES: Final = ("in_flight", "waiting", "connections", "idle")
_COUNTS: Final = ("successes", "failures", "opened", "reused")


@dataclass(frozen=True, slots=True)
class CheckReport:
    """The last active check of an endpoint: why it failed, empty if it passed, and unix seconds."""

    failure: str
    at: float

    def merge(self, other: CheckReport | None) -> CheckReport:
        """This worker's last check and another's: a failure counts, else the latest."""
        if other is None:
            return self
        return max(self, other, key=lambda check: (bool(check.failure), check.at))

    def document(self) -> dict[str, object]:
        """As /api/status shows it."""
        result = "fail" if self.failure else "pass"
        return {"result": result, "reason": self.failure or None, "at": round(self.at, 3)}


@dataclass(frozen=True, slots=True)
class InstanceReport:
    """An instance as a registry names it. health: in the registry's words."""

    id: str
    health: str
    zone: str
    generation: int
    address: str


@dataclass(frozen=True, slots=True)
class RegistryReport:
    """What a registry has said of a service.

    name: of the service there. index, epoch: up to where its changes are in force. stale: it does
    not stand by that now. out: the instances that get nothing.
    """

    name: str
    index: int
    epoch: str
    stale: bool
    out: tuple[InstanceReport, ...] = ()

    def merge(self, other: RegistryReport | None) -> RegistryReport:
        """This worker's view and another's: of the one that is behind."""
        if other is None:
            return self
        return max(self, other, key=lambda one: (one.stale, -one.index))


@dataclass(frozen=True, slots=True)
class EndpointReport:
    """One endpoint: its state, the gauges of now and the counts since the start.

    latency: seconds as ewma estimates them, None without an estimate. instance: what a registry
    calls it, None where the configuration alone names it.
    """

    weight: int
    state: str
    cause: str | None
    numbers: Mapping[str, int]
    check: CheckReport | None = None
    backup: bool = False
    latency: float | None = None
    instance: InstanceReport | None = None

    def merge(self, other: EndpointReport) -> EndpointReport:
        """This worker's view and another's."""
        worst = max(self, other, key=lambda report: _SEVERITY.index(report.state))
        sums = {k: self.numbers.get(k, 0) + other.numbers.get(k, 0) for k in _GAUGES + _COUNTS}
        check = other.check if self.check is None else self.check.merge(other.check)
        latencies = [one for one in (self.latency, other.latency) if one is not None]
        return EndpointReport(
            worst.weight,
            worst.state,
            worst.cause,
            sums,
            check,
            backup=worst.backup,
            latency=max(latencies, default=None),
            instance=worst.instance,
        )

    def remains(self) -> EndpointReport:
        """What a worker that died leaves: its counts."""
        kept = {k: v for k, v in self.numbers.items() if k in _COUNTS}
        return EndpointReport(self.weight, "healthy", None, kept, backup=self.backup)


@dataclass(frozen=True, slots=True)
class ServiceReport:
    """One service: its endpoints by address, its counts, its latency in seconds, its policy."""

    endpoints: Mapping[str, EndpointReport]
    requests: int
    retries: int
    errors: Mapping[str, int]
    last_error: str | None
    latency: HistogramValue
    balance: str = ""
    registry: RegistryReport | None = None

    def merge(self, other: ServiceReport) -> ServiceReport:
        """This worker's view and another's."""
        mine, theirs = self.endpoints, other.endpoints
        endpoints = {
            a: mine[a].merge(theirs[a]) if a in mine and a in theirs else mine.get(a) or theirs[a]
            for a in {**mine, **theirs}
        }
        errors = {
            label: self.errors.get(label, 0) + other.errors.get(label, 0)
            for label in {**self.errors, **other.errors}
        }
        return ServiceReport(
            endpoints,
            self.requests + other.requests,
            self.retries + other.retries,
            errors,
            self.last_error or other.last_error,
            self.latency + other.latency,
            self.balance or other.balance,
            other.registry if self.registry is None else self.registry.merge(other.registry),
        )

    def remains(self) -> ServiceReport:
        """What a worker that died leaves: its counts."""
        return ServiceReport(
            {address: endpoint.remains() for address, endpoint in self.endpoints.items()},
            self.requests,
            self.retries,
            self.errors,
            self.last_error,
            self.latency,
            self.balance,
        )

    def document(self) -> dict[str, object]:
        """As /api/status shows it; latencies in milliseconds, null before the first request."""
        opened = sum(e.numbers.get("opened", 0) for e in self.endpoints.values())
        reused = sum(e.numbers.get("reused", 0) for e in self.endpoints.values())
        measured = any(self.latency.counts)
        return {
            "balance": self.balance,
            "registry": self.registry,
            "requests": self.requests,
            "retries": self.retries,
            "successes": sum(e.numbers.get("successes", 0) for e in self.endpoints.values()),
            "failures": sum(e.numbers.get("failures", 0) for e in self.endpoints.values()),
            "in_flight": sum(e.numbers.get("in_flight", 0) for e in self.endpoints.values()),
            "errors": dict(self.errors),
            "last_error": self.last_error,
            "latency_ms": {
                name: round(self.latency.quantile(q) * 1000, 3) if measured else None
                for name, q in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))
            },
            "pool_reuse_ratio": round(reused / (reused + opened), 4) if reused + opened else None,
            "endpoints": [
                {
                    "address": address,
                    "state": endpoint.state,
                    "cause": endpoint.cause,
                    "weight": endpoint.weight,
                    "check": endpoint.check.document() if endpoint.check is not None else None,
                    "backup": endpoint.backup,
                    "instance": endpoint.instance,
                    "ewma_ms": _milliseconds(endpoint.latency),
                    **{name: endpoint.numbers.get(name, 0) for name in _GAUGES + _COUNTS},
                }
                for address, endpoint in sorted(self.endpoints.items())
            ],
        }


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that one process, or all of them together, has to tell.

    environment: where it runs, as the configuration names it; None for a part that has none.
    """

    metrics: Snapshot
    services: Mapping[str, ServiceReport]
    workers: int = 1
    environment: str | None = None

    def merge(self, other: Report) -> Report:
        """This worker's view and another's."""
        mine, theirs = self.services, other.services
        services = {
            n: mine[n].merge(theirs[n]) if n in mine and n in theirs else mine.get(n) or theirs[n]
            for n in {**mine, **theirs}
        }
        return Report(
            self.metrics.merge(other.metrics),
            services,
            self.workers + other.workers,
            self.environment or other.environment,
        )

    def remains(self) -> Report:
        """What a worker that died leaves, so that sums never fall."""
        services = {name: service.remains() for name, service in self.services.items()}
        return Report(self.metrics.without_gauges(), services, 0)

    def to_json(self) -> bytes:
        """For another process, which reads it with `from_json`."""
        return orjson.dumps(
            {
                "metrics": self.metrics.to_document(),
                "services": self.services,
                "workers": self.workers,
                "environment": self.environment,
            }
        )

    @classmethod
    def from_json(cls, text: bytes) -> Report:
        """The report that `to_json` wrote. Raises ValueError for anything else."""
        try:
            document = orjson.loads(text)
            return cls(
                Snapshot.from_document(document["metrics"]),
                {name: _service(fields) for name, fields in document["services"].items()},
                document["workers"],
                document["environment"],
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not a report: {error}") from error


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)


def _endpoint(fields: dict[str, Any]) -> EndpointReport:
    check, instance = fields.pop("check"), fields.pop("instance")
    return EndpointReport(
        **fields,
        check=None if check is None else CheckReport(**check),
        instance=None if instance is None else InstanceReport(**instance),
    )


def _service(fields: dict[str, Any]) -> ServiceReport:
    latency = fields.pop("latency")
    endpoints = fields.pop("endpoints")
    registry = fields.pop("registry")
    if registry is not None:
        out = tuple([InstanceReport(**one) for one in registry.pop("out")])
        registry = RegistryReport(**registry, out=out)
    return ServiceReport(
        registry=registry,
        endpoints={address: _endpoint(one) for address, one in endpoints.items()},
        latency=HistogramValue.from_document(latency),
        **fields,
    )
