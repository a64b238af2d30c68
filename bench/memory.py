"""`python -m bench.memory`: what the memory service costs with 100,000 memories of 1,000 users.

For each embedder, `static` and `hash`, on an empty database:

    load      all of them by one import, and then until the index has followed
    create    200 a second
    get       1,000 a second, of all; `again`: of a hundred, which a cache would have
    search    100 hybrid ones a second

Then, with the first of them: 1,000,000 memories imported and exported, and how much the service's
memory grows while they pass.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from bench.diaries import Diaries
from bench.machine import Broken, Process, cores, free_port, stay_on_load_core, warnings
from bench.machine import describe as machine_now
from bench.record import RESULTS, save
from bench.remembering import Loaded, Operation, Service, Transferred, load, operate, transfer
from uaitools.postgres.embedded.cluster import Cluster

EMBEDDERS: Final = ("static", "hash")
_PARTS: Final = ("operations", "transfer")
_RESIDENT: Final = {"static": 200e6, "hash": 120e6}  # bytes of the service
_GROWTH: Final = 32e6  # bytes: what a million memories may add where they only pass
_P99: Final = {"create": 20.0, "get": 5.0, "again": 2.0, "search": 25.0}  # ms
_RATES: Final = {"create": 200.0, "get": 1000.0, "again": 1000.0, "search": 100.0}  # a second
METHOD: Final = (
    "The service on one core; on another PostgreSQL, which the service attaches to, and the load: "
    "50 connections in one process. Requests have moments in a schedule, and a latency counts from "
    "there. CPU: the scheduler's count for the service's process, and for PostgreSQL's processes, "
    "by the operations of that time; what follows a write (its vector, the index) is in it. "
    "Memory: what the service's process has resident, without PostgreSQL."
)


@dataclass(slots=True)
class Profile:
    """What was measured with one embedder. resident: bytes of the service after each step."""

    embedder: str
    resident: dict[str, int] = field(default_factory=dict)
    loaded: Loaded | None = None
    operations: list[Operation] = field(default_factory=list)
    transferred: list[Transferred] = field(default_factory=list)


@contextmanager
def serving(embedder: str) -> Iterator[Service]:
    """A service on an empty database. Raises Broken."""
    with tempfile.TemporaryDirectory(prefix="bench-") as path:
        cluster = Cluster(Path(path))
        server = cluster.enter()  # from here, so that it runs on this core
        port = free_port()
        argv = [sys.executable, "-m", "uaitools.memory", "--listen", f"127.0.0.1:{port}"]
        argv += ["--data-dir", path, "--log-level", "warning"]
        env = {"UAITOOLS_MEMORY__EMBED__USE": embedder}
        try:
            with Process(
                "memory", argv, core=cores()[0], folder=Path(path), port=port, env=env
            ) as process:
                yield Service(process, server.pid())
        finally:
            cluster.leave()


def measure(embedder: str, options: argparse.Namespace) -> Profile:
    """The operations, one after the other. Raises Broken."""
    found = Profile(embedder)
    diaries = Diaries(options.memories, options.users)
    with serving(embedder) as service:
        found.resident["empty"] = service.resident()
        found.loaded = load(service, diaries)
        found.resident["loaded"] = service.resident()
        for name, rate in _RATES.items():
            found.operations.append(operate(service, diaries, name, rate, options.seconds))
            found.resident[name] = service.resident()
    return found


def measure_transfer(embedder: str, options: argparse.Namespace) -> Profile:
    """One large import, and an export of it. Raises Broken."""
    found = Profile(embedder)
    with serving(embedder) as service:
        found.resident["empty"] = service.resident()
        found.transferred = transfer(service, Diaries(options.million, options.users))
        found.resident["transferred"] = service.resident()
    return found


def describe(found: Profile) -> str:
    """A profile as text."""
    lines = [f"{found.embedder}"]
    if found.loaded is not None:
        lines.append(f"  {found.loaded}")
    lines += [f"  {one}" for one in (*found.operations, *found.transferred)]
    steps = ", ".join(f"{name} {size / 1e6:.0f}" for name, size in found.resident.items())
    return "\n".join([*lines, f"  resident MB: {steps}", ""])


def over(found: Profile) -> list[str]:
    """Which of its limits it is over."""
    figures = [(f"p99 of {one.name} in ms", one.p99_ms, _P99[one.name]) for one in found.operations]
    figures += [(f"requests lost of {one.name}", one.lost, 0) for one in found.operations]
    figures += [(f"growth by an {one.name}", one.growth, _GROWTH) for one in found.transferred]
    limit = _RESIDENT[found.embedder]
    figures += [(f"resident after {name}", size, limit) for name, size in found.resident.items()]
    return [
        f"{found.embedder}: {name}: {is_:g} > {most:g}" for name, is_, most in figures if is_ > most
    ]


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description=METHOD)
    add = parser.add_argument
    add("--parts", nargs="+", choices=_PARTS, default=list(_PARTS))
    add("--embedders", nargs="+", choices=EMBEDDERS, default=list(EMBEDDERS))
    add("--memories", type=int, default=100_000)
    add("--million", type=int, default=1_000_000, help="memories that are moved")
    add("--users", type=int, default=1_000)
    add("--seconds", type=float, default=30.0, help="of each operation (default: 30)")
    add("--quick", action="store_true", help="2,000 memories, 1 s: does it run?")
    add("--results", type=Path, default=RESULTS, help="folder of the JSON")
    options = parser.parse_args(argv)
    if options.quick:
        options.memories = options.million = 2_000
        options.users, options.seconds = 50, 1.0
    return options


def _measured(options: argparse.Namespace) -> Iterator[Profile]:
    if "operations" in options.parts:
        for embedder in options.embedders:
            yield measure(embedder, options)
    if "transfer" in options.parts:
        yield measure_transfer(options.embedders[0], options)


def main() -> int:
    """Measure the memory service."""
    options = arguments()
    machine = machine_now()
    print(*warnings(), sep="\n", end="\n\n")
    stay_on_load_core()
    found: list[Profile] = []
    try:
        for profile in _measured(options):
            found.append(profile)
            print(describe(profile), flush=True)
    except Broken as error:
        print(f"BROKEN: {error}")
        return 1
    if options.quick:
        return 0
    document = {"method": METHOD, "machine": machine, "profiles": [asdict(one) for one in found]}
    print(f"wrote {save(options.results, 'memory', document)}")
    complaints = [complaint for one in found for complaint in over(one)]
    for complaint in complaints:
        print(f"OVER ITS LIMIT: {complaint}")
    return int(bool(complaints))


if __name__ == "__main__":
    sys.exit(main())
