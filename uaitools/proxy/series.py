"""Counts of the requests of one method and one route: plain integers, read at scrape time."""

from __future__ import annotations

from bisect import bisect_left

from uaitools.metrics import LATENCY_BOUNDS, Histogram
from uaitools.proxy.http1.grammar import COMMON_METHODS


class Series:
    """Requests by status and a latency histogram, for one (method, endpoint) pair."""

    __slots__ = ("endpoint", "latency", "statuses")

    def __init__(self, endpoint: str = "") -> None:
        self.endpoint = endpoint
        self.statuses: dict[int, int] = {}
        self.latency = Histogram()

    def __repr__(self) -> str:
        return f"<Series requests={sum(self.statuses.values())}>"

    def observe(self, status: int, seconds: float) -> None:
        """Count one finished request."""
        try:
            self.statuses[status] += 1
        except KeyError:
            self.statuses[status] = 1
        latency = self.latency
        latency.counts[bisect_left(LATENCY_BOUNDS, seconds)] += 1
        latency.sum += seconds


class Requests:
    """All series of the process, by (method, endpoint); they outlive reloads."""

    __slots__ = ("_series",)

    def __init__(self) -> None:
        self._series: dict[tuple[str, str], Series] = {}

    def __repr__(self) -> str:
        return f"<Requests series={len(self._series)}>"

    def series(self, method: bytes, endpoint: str) -> Series:
        """The series of a method and a route label."""
        # Only these have a name in metrics: a client must not be able to invent label values.
        name = method.decode() if method in COMMON_METHODS else "OTHER"
        series = self._series.get((name, endpoint))
        if series is None:
            series = self._series[name, endpoint] = Series(endpoint)
        return series

    def items(self) -> list[tuple[tuple[str, str], Series]]:
        """Every series with its (method, endpoint)."""
        return list(self._series.items())

    def of_endpoints(self, endpoints: frozenset[str]) -> list[Series]:
        """The series of some route labels."""
        return [series for (_, endpoint), series in self._series.items() if endpoint in endpoints]
