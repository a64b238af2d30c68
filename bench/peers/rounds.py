"""Every proxy in turn, round after round: what the machine does meanwhile hits all alike."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

from bench.load import Generator
from bench.machine import Broken, Missing, Process, cpu
from bench.peers.proxies import BASE, start
from bench.peers.scenarios import Scenario

_WARM_UP: Final = 1.0  # seconds each, before the first round


@dataclass(frozen=True, slots=True)
class Sample:
    """One proxy in one round: CPU microseconds per request (or event), and how it got there.

    system: the kernel's share of them, 0 to 1. rate: a second. busy: of the core, 0 to 1.
    """

    cpu_us: float
    system: float
    rate: float
    busy: float
    errors: int


@dataclass(slots=True)
class Row:
    """A proxy's samples in one scenario, one a round."""

    proxy: str
    samples: list[Sample] = field(default_factory=list)

    @property
    def cpu_us(self) -> list[float]:
        """CPU microseconds, round by round."""
        return [sample.cpu_us for sample in self.samples]

    def middle(self, attribute: str) -> float:
        """The median over the rounds of an attribute of Sample."""
        values: list[float] = [getattr(sample, attribute) for sample in self.samples]
        return median(values)

    def ratios(self, base: Row) -> list[float]:
        """CPU as multiples of `base`, each within its round."""
        pairs = zip(self.cpu_us, base.cpu_us, strict=True)
        return [own / other for own, other in pairs if other]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A scenario's rows, and why proxies are missing among them: not to be had, or broken."""

    scenario: Scenario
    rows: tuple[Row, ...]
    skipped: dict[str, str] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)

    @property
    def base(self) -> Row | None:
        """The row that ratios refer to, if it was measured."""
        return next((row for row in self.rows if row.proxy.split(" ")[0] == BASE), None)


def measure(process: Process, load: Generator, seconds: float) -> Sample:
    """Put a load on a proxy and read what it cost."""
    spent = [cpu(process.pid)]

    @contextlib.contextmanager
    def meter() -> Iterator[None]:
        spent[0] = cpu(process.pid)
        yield
        spent.append(cpu(process.pid))

    result = load(process.port, seconds, meter)
    used = spent[-1] - spent[0]
    return Sample(
        cpu_us=used.total / max(result.count, 1) * 1e6,
        system=used.system_share,
        rate=result.count / result.seconds,
        busy=used.total / result.seconds,
        errors=result.errors,
    )


def compare(scenario: Scenario, names: Sequence[str], *, rounds: int, seconds: float) -> Outcome:
    """Measure the proxies that can be had in one scenario."""
    skipped: dict[str, str] = {}
    broken: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        upstreams = stack.enter_context(scenario.upstream(folder))
        running: list[tuple[Row, Process]] = []
        for proxy in names:
            try:
                process = start(proxy, upstreams, folder, scenario.ready)
                running.append((Row(proxy), stack.enter_context(process)))
            except Missing as error:
                skipped[proxy] = str(error)
            except Broken as error:
                broken[proxy] = str(error)
        for _, process in running:
            scenario.load(process.port, _WARM_UP, contextlib.nullcontext)
        for turn in range(rounds):
            for row, process in _rotated(running, turn):
                _progress(f"{scenario.name}: round {turn + 1} of {rounds}, {row.proxy}")
                row.samples.append(measure(process, scenario.load, seconds))
        _progress("")
    return Outcome(scenario, tuple(row for row, _ in running), skipped, broken)


def _rotated(running: Sequence[tuple[Row, Process]], turn: int) -> Iterable[tuple[Row, Process]]:
    """Each round begins with another one, so that nobody always follows the same neighbour."""
    first = turn % max(len(running), 1)
    return (*running[first:], *running[:first])


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
