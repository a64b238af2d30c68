"""`python -m bench.connections`: what open connections cost, and latency at a fixed rate.

For each proxy, in a process of its own on a core of its own:

    memory   resident memory before and with the connections open and idle, and after the load
    rate     open-loop load over all of them: latency from the scheduled moment, lost requests,
             the proxy's share of its core
    added    latency at half of the proxy's own closed-loop maximum, 64 connections: the quantiles
             through the proxy minus the same quantiles straight to the upstream
    start    `import uaitools.proxy`, and process start to first answered request (uaitools only)
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from bench.load import wrk
from bench.machine import (
    Broken,
    Missing,
    Process,
    cores,
    cpu,
    program,
    raise_file_limit,
    resident,
    stay_on_load_core,
    warnings,
)
from bench.machine import describe as machine_now
from bench.openloop import Measured, OpenLoop
from bench.peers.proxies import PROXIES, interpreter, start
from bench.record import RESULTS, plot, save
from bench.upstreams import Ports, answering

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SPARE_FILES: Final = 500  # descriptors for everything that is no client's connection
_QUANTILES: Final = (0.5, 0.99, 0.999)
_READY: Final = "/api/chat"
_SETTLE: Final = 1.0  # seconds until memory is read
_FEW: Final = 64  # connections of the added latency
_IMPORT: Final = """
from time import perf_counter
began = perf_counter()
import uaitools.proxy
package = perf_counter() - began
from uaitools.proxy import Gateway
print(package, perf_counter() - began)
"""
METHOD: Final = (
    "One proxy on one core; upstream and load on another. Memory: resident, from /proc. Rate: "
    "open loop over all connections, latency from the scheduled moment. Added latency: at half of "
    "the proxy's own closed-loop maximum, through it minus direct, medians of interleaved runs."
)


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident bytes: before any client, with `connections` idle ones, and after the load."""

    connections: int
    before: int
    idle: int
    loaded: int = 0

    def each(self, now: int) -> float:
        """KB a connection above `before`."""
        return (now - self.before) / self.connections / 1024


@dataclass(frozen=True, slots=True)
class Rate:
    """Open-loop load: requests/s asked for, the proxy's share of its core, quantiles in ms."""

    rate: float
    requests: int
    lost: int
    core: float
    late_ms: float
    latency_ms: dict[str, float]


@dataclass(frozen=True, slots=True)
class Added:
    """Latency in ms at `rate` requests/s: through the proxy, direct, and the difference."""

    maximum: float
    rate: float
    through_ms: dict[str, float]
    direct_ms: dict[str, float]
    added_ms: dict[str, float]
    lost: int


@dataclass(frozen=True, slots=True)
class StartUp:
    """Seconds, medians.

    importing: `import uaitools.proxy`. gateway: the same and its Gateway, for names load when they
    are asked for. answering: process start to first answered request.
    """

    importing: float
    gateway: float
    answering: float


@dataclass(frozen=True, slots=True)
class Profile:
    """Everything about one proxy."""

    proxy: str
    memory: Memory
    rate: Rate
    added: Added
    start: StartUp | None


def quantiles(measured: Measured) -> dict[str, float]:
    """p50, p99 and p99.9 in ms."""
    return {f"p{part * 100:g}": measured.quantile(part) * 1e3 for part in _QUANTILES}


def hold(process: Process, connections: int, rate: float, seconds: float) -> tuple[Memory, Rate]:
    """Open the connections, read the memory, then put the open-loop load on all of them."""
    load = OpenLoop(process.port, _READY)
    try:
        time.sleep(_SETTLE)
        before = resident(process.pid)
        load.open(connections)
        time.sleep(_SETTLE)
        idle = resident(process.pid)
        load.run(rate / 4, 2)  # upstream connections open, code warms up
        spent = cpu(process.pid)
        measured = load.run(rate, seconds)
        used = cpu(process.pid) - spent
        memory = Memory(connections, before, idle, resident(process.pid))
    finally:
        load.close()
    return memory, Rate(
        rate=rate,
        requests=measured.requests,
        lost=measured.lost,
        core=used.total / measured.seconds,
        late_ms=measured.late * 1e3,
        latency_ms=quantiles(measured),
    )


def add(process: Process, upstream: int, seconds: float, runs: int) -> Added:
    """Latency through the proxy and direct, in turn, at half of what the proxy can do."""
    closed = wrk(_FEW, _READY)(process.port, max(seconds, 1.0), contextlib.nullcontext)
    maximum = closed.count / closed.seconds
    loads = OpenLoop(process.port, _READY), OpenLoop(upstream, _READY)
    through: list[Measured] = []
    direct: list[Measured] = []
    try:
        for load, results in zip(loads, (through, direct), strict=True):
            load.open(_FEW)
            load.run(maximum / 2, 0.5)
            results.clear()
        for _ in range(runs):
            through.append(loads[0].run(maximum / 2, seconds))
            direct.append(loads[1].run(maximum / 2, seconds))
    finally:
        for load in loads:
            load.close()
    ours, theirs = _middle(through), _middle(direct)
    return Added(
        maximum=maximum,
        rate=maximum / 2,
        through_ms=ours,
        direct_ms=theirs,
        added_ms={name: ours[name] - theirs[name] for name in ours},
        lost=sum(measured.lost for measured in through),
    )


def _middle(runs: Sequence[Measured]) -> dict[str, float]:
    """The median of each quantile over several runs."""
    all_runs = [quantiles(measured) for measured in runs]
    return {name: median(values[name] for values in all_runs) for name in all_runs[0]}


def start_up(name: str, upstreams: Ports, folder: Path, runs: int) -> StartUp | None:
    """Time the start of uaitools; None for other proxies."""
    python = interpreter(name)
    if python is None:
        return None
    argv = [program("taskset"), "-c", str(cores()[0]), *python.argv, "-c", _IMPORT]
    env = None if python.env is None else dict(python.env)
    imports: list[tuple[float, float]] = []
    answered: list[float] = []
    for _ in range(runs):
        done = subprocess.run(argv, env=env, cwd=folder, capture_output=True, text=True, check=True)
        package, gateway = map(float, done.stdout.split())
        imports.append((package, gateway))
        began = time.perf_counter()
        process = start(name, upstreams, folder, _READY)
        try:
            process.wait_until_ready(pause=0.002)
            answered.append(time.perf_counter() - began)
        finally:
            process.stop()
    packages, gateways = zip(*imports, strict=True)
    return StartUp(median(packages), median(gateways), median(answered))


def profile(name: str, options: argparse.Namespace) -> Profile:
    """Measure one proxy. Raises Missing."""
    with tempfile.TemporaryDirectory(prefix="bench-") as path:
        folder = Path(path)
        with answering(folder) as upstreams:
            with start(name, upstreams, folder, _READY) as process:
                memory, rate = hold(process, options.connections, options.rate, options.seconds)
            with start(name, upstreams, folder, _READY) as process:
                added = add(process, upstreams[0], min(options.seconds, 4.0), options.runs)
            return Profile(name, memory, rate, added, start_up(name, upstreams, folder, 5))


def describe(found: Profile) -> str:
    """A profile as text."""
    memory, rate, added, start = found.memory, found.rate, found.added, found.start
    text = f"""{found.proxy}
  memory        {memory.before / 1e6:.1f} MB before the first client
    idle        {memory.idle / 1e6:.1f} MB with {memory.connections:,} connections, \
{memory.each(memory.idle):.2f} KB each
    after load  {memory.loaded / 1e6:.1f} MB, {memory.each(memory.loaded):.2f} KB each
  rate          {rate.rate:,.0f} requests/s over all of them, {rate.core:.0%} of the core, \
{rate.lost:,} of {rate.requests:,} lost
    latency     {_text(rate.latency_ms)} (sent {rate.late_ms:.2f} ms after schedule, p99)
  added         {added.rate:,.0f} requests/s over {_FEW} connections, half of its maximum, \
{added.lost:,} lost
    latency     {_text(added.added_ms)}
    through     {_text(added.through_ms)}
    direct      {_text(added.direct_ms)}
"""
    if start is not None:
        text += f"""\
  start         import uaitools.proxy {start.importing:.3f} s, with Gateway {start.gateway:.3f} s
    answering   {start.answering:.3f} s from process start to first answered request
"""
    return text


def _text(values: dict[str, float]) -> str:
    return " ".join(f"{name} {value:.2f} ms" for name, value in values.items())


def draw(figure: Figure, profiles: Sequence[Profile]) -> None:
    """Memory a connection, and the latency quantiles at the rate, a bar a proxy."""
    memory, latency = figure.subplots(1, 2)
    names = [found.proxy for found in profiles]
    memory.bar(names, [found.memory.each(found.memory.loaded) for found in profiles], width=0.5)
    memory.set_title(f"KB a connection, {profiles[0].memory.connections:,} connections")
    for found in profiles:
        values = found.rate.latency_ms
        latency.plot(list(values), list(values.values()), marker="o", label=found.proxy)
    latency.set_title(f"latency in ms at {profiles[0].rate.rate:,.0f} requests/s")
    latency.set_ylim(bottom=0)
    latency.legend()


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.connections", description=METHOD)
    most = min(10_000, raise_file_limit() - _SPARE_FILES)
    parser.add_argument("--connections", type=int, default=most, help=f"(default here: {most})")
    parser.add_argument("--rate", type=float, default=10_000, help="requests/s (default: 10000)")
    parser.add_argument("--seconds", type=float, default=10, help="of each load (default: 10)")
    parser.add_argument("--runs", type=int, default=5, help="of the added latency (default: 5)")
    parser.add_argument("--quick", action="store_true", help="500 connections, 1 s: does it run?")
    parser.add_argument(
        "--proxy", action="append", choices=PROXIES, help="may be repeated (default: uaitools)"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of JSON and plot")
    options = parser.parse_args(argv)
    if options.quick:
        options.connections, options.seconds, options.runs = 500, 1.0, 1
    if not 0 < options.connections <= raise_file_limit() - _SPARE_FILES:
        parser.error(f"the file limit allows {most} connections; raise it with ulimit -n")
    return options


def main() -> int:
    """Measure the proxies that were asked for."""
    options = arguments()
    profiles: list[Profile] = []
    broken = False
    machine = machine_now()  # before the load, which is no one else's
    print(*warnings(), sep="\n", end="\n\n")
    stay_on_load_core()
    for name in options.proxy or ["uaitools", "uaitools compiled"]:
        try:
            profiles.append(profile(name, options))
        except Missing as error:
            print(f"skipped {name}: {error}\n")
        except Broken as error:
            broken = True
            print(f"BROKEN {name}: {error}\n")
        else:
            print(describe(profiles[-1]), flush=True)
    if profiles and not options.quick:
        found = [asdict(profile) for profile in profiles]
        document = {"method": METHOD, "machine": machine, "profiles": found}
        print(f"wrote {save(options.results, 'connections', document)}")
        path = plot(options.results, "connections", 9, lambda figure: draw(figure, profiles))
        print(f"wrote {path}" if path else "no plot: matplotlib is not installed")
    return 0 if profiles and not broken else 1


if __name__ == "__main__":
    sys.exit(main())
