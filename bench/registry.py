"""`python -m bench.registry`: what a registry costs with a fleet on it, and how fast it tells.

memory   resident, empty and with every instance and watcher connected
core     its share of a core while all send heartbeats, and CPU for each of them
change   from a change being sent to each watcher of that service having it; and how many
watchers of other services were told anything
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import uvloop

from bench.fleet import Fleet
from bench.machine import (
    Broken,
    Process,
    cores,
    cpu,
    free_port,
    raise_file_limit,
    resident,
    stay_on_load_core,
    warnings,
)
from bench.machine import describe as machine_now
from bench.record import RESULTS, save

_SPARE_FILES: Final = 500
METHOD: Final = (
    "One registry with its journal on one core; the fleet on another, one connection for each "
    "instance and each watcher. Beside their heartbeats instances register again each minute and "
    "watchers show each 15 s that they live. CPU: the scheduler's count of that time. "
    "Memory: resident, from /proc. Change: PATCH of a weight while heartbeats go on, from its "
    "first byte sent to the last watcher of its service having read it."
)


@dataclass(frozen=True, slots=True)
class Profile:
    """instances, services, watchers: connected. Memory in bytes, times in ms."""

    instances: int
    services: int
    watchers: int
    every: float
    seconds: float
    empty: int
    connected: int
    loaded: int
    core: float
    heartbeat_us: float
    answers: dict[str, int]
    late_ms: float
    changes: int
    change_p50_ms: float
    change_p99_ms: float
    change_max_ms: float
    strangers: int


async def measure(process: Process, options: argparse.Namespace) -> Profile:
    """Put the fleet on a registry that runs."""
    time.sleep(1.0)  # noqa: ASYNC251 - nothing else runs here yet
    empty = resident(process.pid)
    fleet = Fleet(process.port, options.instances, options.services, options.watchers)
    await fleet.join()
    await fleet.beat(options.every, min(options.every, options.seconds))  # everybody is warm
    connected = resident(process.pid)
    before = fleet.answers()
    fleet.late = 0.0
    spent, began = cpu(process.pid), time.perf_counter()
    await fleet.beat(options.every, options.seconds)
    used, elapsed = cpu(process.pid) - spent, time.perf_counter() - began
    answers = {str(k): v - before.get(k, 0) for k, v in fleet.answers().items()}
    late = fleet.late
    pause = 0.02
    beating = asyncio.gather(
        fleet.beat(options.every, options.changes * (pause + 0.01)),
        fleet.change(options.changes, pause),
    )
    _, (took, strangers) = await beating
    took.sort()
    return Profile(
        options.instances,
        options.services,
        options.watchers,
        options.every,
        options.seconds,
        empty,
        connected,
        resident(process.pid),
        used.total / elapsed,
        used.total * 1e6 / max(1, answers.get("200", 0)),
        answers,
        late * 1e3,
        options.changes,
        took[len(took) // 2] * 1e3,
        took[int(len(took) * 0.99)] * 1e3,
        took[-1] * 1e3,
        strangers,
    )


def describe(found: Profile) -> str:
    """A profile as text."""
    return f"""\
{found.instances:,} instances of {found.services:,} services, {found.watchers:,} watchers, \
a heartbeat every {found.every:g} s
  memory    {found.empty / 1e6:.0f} MB empty, {found.connected / 1e6:.0f} MB with all of them, \
{found.loaded / 1e6:.0f} MB after the load
  core      {found.core:.1%} of one over {found.seconds:g} s, {found.heartbeat_us:.0f} us a \
heartbeat, all else included; answers {found.answers} \
(sent {found.late_ms:.0f} ms late at most)
  change    p50 {found.change_p50_ms:.2f} ms, p99 {found.change_p99_ms:.2f} ms, \
at most {found.change_max_ms:.1f} ms over {found.changes} changes; \
{found.strangers} watchers of other services woken
"""


def over(found: Profile) -> list[str]:
    """Which of the limits that a registry has to keep this is over."""
    limits = {
        "core": (found.core, 0.25),
        "memory": (found.loaded, 200e6),
        "p99 of a change in ms": (found.change_p99_ms, 50.0),
        "watchers of other services woken": (found.strangers, 0),
    }
    return [f"{name}: {is_:g} > {limit:g}" for name, (is_, limit) in limits.items() if is_ > limit]


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.registry", description=METHOD)
    add = parser.add_argument
    add("--instances", type=int, default=10_000)
    add("--services", type=int, default=500)
    add("--watchers", type=int, default=1_000)
    add("--every", type=float, default=10.0, help="seconds between heartbeats (default: 10)")
    add("--seconds", type=float, default=30.0, help="of the measured load (default: 30)")
    add("--changes", type=int, default=300)
    add("--quick", action="store_true", help="200 instances, 2 s: does it run?")
    add("--results", type=Path, default=RESULTS, help="folder of the JSON")
    options = parser.parse_args(argv)
    if options.quick:
        options.instances, options.services, options.watchers = 200, 20, 40
        options.every, options.seconds, options.changes = 1.0, 2.0, 20
    needed = options.instances + options.watchers + _SPARE_FILES
    if needed > raise_file_limit():
        parser.error(f"that takes {needed} open files; raise the limit with ulimit -n")
    return options


def main() -> int:
    """Measure a registry."""
    options = arguments()
    machine = machine_now()
    print(*warnings(), sep="\n", end="\n\n")
    stay_on_load_core()
    with tempfile.TemporaryDirectory(prefix="bench-") as path:
        port = free_port()
        argv = [sys.executable, "-m", "uaitools.registry", "--listen", f"127.0.0.1:{port}"]
        argv += ["--data-dir", path, "--log-level", "warning"]
        try:
            with (
                Process("registry", argv, core=cores()[0], folder=Path(path), port=port) as process,
                asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
            ):
                found = runner.run(measure(process, options))
        except Broken as error:
            print(f"BROKEN: {error}")
            return 1
    print(describe(found))
    if not options.quick:
        document = {"method": METHOD, "machine": machine, "profile": asdict(found)}
        print(f"wrote {save(options.results, 'registry', document)}")
        for complaint in over(found):
            print(f"OVER ITS LIMIT: {complaint}")
        return int(bool(over(found)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
