"""Counts of the requests of one method and one route: plain integers, read at scrape time."""

from __future__ import annotations

from bisect import bisect_left

from uaitools.metrics import LATENCY_BOUNDS, Histogram


class Series:
    """Requests by status and a latency histogram, for one (method, endpoint) pair."""

    __slots__ = ("latency", "statuses")

    def __init__(self) -> None:
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
