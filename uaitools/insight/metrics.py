"""The insight service's metrics: of counts that are kept anyhow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from uaitools.cache.lifetime import Outcome
from uaitools.metrics import Family, HistogramValue, Sample

if TYPE_CHECKING:
    from collections import Counter

    from uaitools.insight.server import InsightServer

BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

_REQUESTS: Final = Family("gitinsight_requests_total", "counter", "Requests answered.")
_DURATION: Final = Family(
    "gitinsight_request_duration_seconds", "histogram", "Seconds from a request to its answer."
)
_CONNECTIONS: Final = Family("gitinsight_active_connections", "gauge", "Open connections.")
_RATIO: Final = Family(
    "gitinsight_cache_hit_ratio", "gauge", "The part of answers that were kept, by kind.", "min"
)
_ANSWERS: Final = Family(
    "gitinsight_cache_answers_total", "counter", "Answers by where they came from."
)


def samples(server: InsightServer) -> Iterator[Sample]:
    """Everything that the service counts."""
    for (method, endpoint), series in server.gateway.requests.items():
        labels = (("method", method), ("endpoint", endpoint))
        for status, count in series.statuses.items():
            yield Sample(_REQUESTS, (*labels, ("status", str(status))), count)
        yield Sample(_DURATION, labels, coarser(series.latency.value(), BOUNDS))
    yield Sample(_CONNECTIONS, (), len(server.gateway.clients))
    for one in server.api.servings:
        kind = ("cache_type", one.kind)
        ratio = hit_ratio(one.outcomes)
        if ratio is not None:
            yield Sample(_RATIO, (kind,), ratio)
        for outcome, count in one.outcomes.items():
            yield Sample(_ANSWERS, (kind, ("outcome", outcome.value)), count)
    service = server.service
    yield from service.pool.samples()
    yield from service.probe.samples()
    yield from service.cache.samples()
    yield from service.notices.samples()


def hit_ratio(outcomes: Counter[Outcome]) -> float | None:
    """The part of answers that were kept, 0 to 1; None as long as there were none."""
    total = outcomes.total()
    return (outcomes[Outcome.HIT] + outcomes[Outcome.STALE]) / total if total else None


def coarser(value: HistogramValue, bounds: tuple[float, ...]) -> HistogramValue:
    """The same observations in fewer buckets. bounds: some of those that it has."""
    counts = [0] * (len(bounds) + 1)
    place = 0
    for bound, count in zip((*value.bounds, float("inf")), value.counts, strict=True):
        while place < len(bounds) and bound > bounds[place]:
            place += 1
        counts[place] += count
    return HistogramValue(bounds, tuple(counts), value.sum)
