"""Metrics: plain integers on the hot path, read when somebody asks, summed over processes.

- a source yields samples: components count in ordinary attributes and report them there;
- `Registry.snapshot` is a plain value of one moment, which travels between workers as JSON;
- `Snapshot.merge` makes one of two processes;
- `render` is its Prometheus text, made by aioprometheus.

A worker that dies takes its counters with it, and a sum that falls looks to Prometheus like a
restart. Its parent keeps its last snapshot `without_gauges` and merges that from then on.
"""

import math
import os
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate, chain
from pathlib import Path
from typing import Any, Literal

Labels = tuple[tuple[str, str], ...]

# Seconds: from a request on loopback to the default timeout of an upstream.
LATENCY_BOUNDS = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Family:
    """The metrics of one name.

    combine: how the values of equal labels become one when processes are merged. Counters and
    histograms add; so do gauges, except those of which a sum means nothing.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    combine: Literal["sum", "min", "max"] = "sum"


@dataclass(frozen=True, slots=True)
class HistogramValue:
    """Observations of one moment.

    bounds: ascending inclusive upper bounds. counts: observations in each bucket, not cumulative,
    and one more for those above the last bound. sum: of all observed values.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    sum: float

    def __add__(self, other: "HistogramValue") -> "HistogramValue":
        if self.bounds != other.bounds:
            raise ValueError("histograms with different bounds cannot be added")
        counts = tuple(map(int.__add__, self.counts, other.counts))
        return HistogramValue(self.bounds, counts, self.sum + other.sum)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "HistogramValue":
        """The value that orjson wrote and read. Raises KeyError or TypeError for anything else."""
        return cls(tuple(document["bounds"]), tuple(document["counts"]), document["sum"])

    def quantile(self, q: float) -> float:
        """Estimate the q-quantile, 0 <= q <= 1; NaN when nothing was observed.

        Linear between the bounds of the bucket that holds it, as Prometheus' histogram_quantile;
        the last bound where it lies above that. The error is at most the width of the bucket.
        """
        if not 0 <= q <= 1:
            raise ValueError(f"a quantile lies between 0 and 1, got {q}")
        rank = q * sum(self.counts)
        lower, below = 0.0, 0
        for bound, count in zip(self.bounds, self.counts, strict=False):
            if count and below + count >= rank:
                return lower + (bound - lower) * (rank - below) / count
            lower, below = bound, below + count
        return lower if any(self.counts) else math.nan


class Histogram:
    """Counts observations by size, for the hot path: 0.2 us an observation."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...] = LATENCY_BOUNDS) -> None:
        if not bounds or list(bounds) != sorted(set(bounds)):
            raise ValueError("a histogram needs ascending bounds")
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def __repr__(self) -> str:
        return f"<Histogram count={sum(self.counts)} sum={self.sum:g}>"

    def observe(self, value: float) -> None:
        """Count one observation, in the unit of the bounds."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def value(self) -> HistogramValue:
        """The observations so far."""
        return HistogramValue(self.bounds, tuple(self.counts), self.sum)

    def quantile(self, q: float) -> float:
        """As `HistogramValue.quantile`."""
        return self.value().quantile(q)


Value = float | HistogramValue


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of a family; within a snapshot the values of equal labels are combined.

    labels: names with values, the values of any text. Prometheus keeps the names job and le.
    """

    family: Family
    labels: Labels
    value: Value


Source = Callable[[], Iterable[Sample]]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All metrics of one moment: a value that can be merged, sent and rendered.

    families: each with its values by labels, which are in the order of their names.
    """

    families: Mapping[Family, Mapping[Labels, Value]]

    @classmethod
    def of(cls, samples: Iterable[Sample]) -> "Snapshot":
        """Combine samples. Raises ValueError when one name belongs to two different families."""
        families: dict[Family, dict[Labels, Value]] = {}
        for sample in samples:
            family, value = sample.family, sample.value
            values = families.setdefault(family, {})
            labels = tuple(sorted(sample.labels))
            values[labels] = _combine(family, values[labels], value) if labels in values else value
        if len(families) > len({family.name for family in families}):
            raise ValueError("a metric is declared twice, and differently")
        return cls(families)

    def samples(self) -> Iterator[Sample]:
        """Every value with its family and labels."""
        for family, values in self.families.items():
            for labels, value in values.items():
                yield Sample(family, labels, value)

    def merge(self, other: "Snapshot") -> "Snapshot":
        """This process and another as one."""
        return Snapshot.of(chain(self.samples(), other.samples()))

    def without_gauges(self) -> "Snapshot":
        """What a process leaves behind when it dies: what it counted, not the state it was in."""
        return Snapshot({f: v for f, v in self.families.items() if f.kind != "gauge"})

    def to_document(self) -> list[object]:
        """What orjson writes for another process, which reads it with `from_document`."""
        return [(family, list(values.items())) for family, values in self.families.items()]

    @classmethod
    def from_document(cls, document: Any) -> "Snapshot":
        """The snapshot of a document that orjson has read. Raises ValueError for anything else."""
        try:
            return cls(
                {
                    Family(**family): {
                        tuple((name, text) for name, text in labels): _value(value)
                        for labels, value in values
                    }
                    for family, values in document
                }
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not a snapshot of metrics: {error}") from error


def _value(document: Any) -> Value:
    if isinstance(document, dict):
        return HistogramValue.from_document(document)
    if not isinstance(document, int | float):
        raise TypeError(f"{document!r} is no value")
    return document


def _combine(family: Family, one: Value, other: Value) -> Value:
    if isinstance(one, HistogramValue) and isinstance(other, HistogramValue):
        return one + other
    if isinstance(one, HistogramValue) or isinstance(other, HistogramValue):
        raise ValueError(f"{family.name} is a histogram and a number")  # noqa: TRY004 - by value
    match family.combine:
        case "sum":
            return one + other
        case "min":
            return min(one, other)
        case "max":
            return max(one, other)


# Of every service, whoever counts them: labels endpoint, method and status.
REQUESTS = Family("http_requests_total", "counter", "Requests answered.")
DURATION = Family(
    "http_request_duration_seconds", "histogram", "Seconds from a request's head to its answer."
)


class Registry:
    """The sources of one process."""

    def __init__(self) -> None:
        self._sources: list[Source] = []

    def __repr__(self) -> str:
        return f"<Registry sources={len(self._sources)}>"

    def add(self, source: Source) -> None:
        """Read `source` at each snapshot from now on."""
        self._sources.append(source)

    def snapshot(self) -> Snapshot:
        """Read every source now."""
        return Snapshot.of(chain.from_iterable(source() for source in self._sources))


def render(snapshot: Snapshot) -> bytes:
    """Prometheus text format 0.0.4 of a snapshot."""
    # Here and not above: 4 MB and 0.05 s that a process which is never scraped does without.
    from aioprometheus import collectors  # noqa: PLC0415
    from aioprometheus.formats.text import TextFormatter  # noqa: PLC0415

    kinds = {
        "counter": collectors.Counter,
        "gauge": collectors.Gauge,
        "histogram": collectors.Histogram,
    }
    registry = collectors.Registry()
    for family, values in snapshot.families.items():
        collector = kinds[family.kind](family.name, _escape(family.help), registry=registry)
        for labels, value in values.items():
            escaped = {name: _escape(text).replace('"', r"\"") for name, text in labels}
            collector.set_value(escaped, _collected(value))
    return TextFormatter().marshall(registry)


def _escape(text: str) -> str:
    # aioprometheus prints what it is given; a quote or a line end would forge other metrics.
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _collected(value: Value) -> Any:
    """The value as aioprometheus' collectors hold it; its buckets are cumulative."""
    if not isinstance(value, HistogramValue):
        return value
    from aioprometheus.histogram import Histogram as Collected  # noqa: PLC0415 - see render

    collected = Collected(*value.bounds)
    collected.buckets.update(zip(collected.buckets, accumulate(value.counts), strict=True))
    collected.observations = sum(value.counts)
    collected.sum = value.sum
    return collected


_STARTED = time.time()
_START_TIME = Family(
    "process_start_time_seconds", "gauge", "Unix time at which the oldest process began.", "min"
)
_CPU = Family("process_cpu_seconds_total", "counter", "User and system CPU time in seconds.")
_RESIDENT = Family("process_resident_memory_bytes", "gauge", "Resident memory in bytes.")
_OPEN_FDS = Family("process_open_fds", "gauge", "Open file descriptors.")


def process() -> Iterator[Sample]:
    """A source: start, CPU, memory and descriptors of this process, the last two on Linux only."""
    yield Sample(_START_TIME, (), _STARTED)
    yield Sample(_CPU, (), time.process_time())
    with suppress(FileNotFoundError):
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
        yield Sample(_RESIDENT, (), pages * os.sysconf("SC_PAGE_SIZE"))
        # The descriptor that lists the others is not one of them.
        yield Sample(_OPEN_FDS, (), len(os.listdir("/proc/self/fd")) - 1)  # noqa: PTH208 - counted
