"""`python -m bench.hub`: what a WebSocket hub costs with ten thousand clients, beside its peers.

For every hub, in a process of its own on a core of its own (bench.broadcasts says how):

    memory   empty, and with every client subscribed and idle
    join     clients a second, CPU for each
    single   CPU for each delivery of a 200-byte message
    tick     the same when ten messages are published at once
    delay    from a publish to the last client having it

For ours alone (bench.hardship):

    stuck    clients that never read: memory, CPU and delay of the others
    drain    joins at another node when one is told to stop
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

import orjson
import uvloop

from bench.broadcasts import SIZE, TICK, Load, Profile, profile
from bench.hardship import Drain, Running, Stuck, drain, stuck
from bench.machine import Broken, Missing, raise_file_limit, stay_on_load_core, warnings
from bench.machine import describe as machine_now
from bench.peers.hubs import DRAIN_RATE, GORILLA, HUBS, OURS, prepare
from bench.record import RESULTS, plot, save

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SPARE_FILES: Final = 500  # descriptors for everything that is no client's connection
_PARTS: Final = ("broadcasts", "stuck", "drain")
_FULL: Final = 9_000  # clients from which on limits of memory and delay mean anything
METHOD: Final = (
    "One hub at a time on one core; all clients in one process on another, on uvloop, counting "
    "frames by their length. CPU: the scheduler's count for the hub's process. Memory: resident, "
    f"from /proc. Single: {SIZE} bytes to all, the next when the last client has it; tick: {TICK} "
    "at once, in the same way. Delay: from the publish being sent to the last client having the "
    "last byte. Ratios: to gorilla in the same round, medians over the rounds. Stuck: two of our "
    "hubs in turn, in bursts. Drain: SIGTERM, clients do as they are told."
)


@dataclass(slots=True)
class Found:
    """Everything that was measured. profiles: of each hub, round by round."""

    profiles: dict[str, list[Profile]] = field(default_factory=dict)
    stuck: Stuck | None = None
    drain: Drain | None = None
    skipped: dict[str, str] = field(default_factory=dict)

    def middle(self, hub: str, value: Callable[[Profile], float]) -> float:
        """The median of a figure over the rounds."""
        return median(map(value, self.profiles[hub]))

    def ratio(
        self, value: Callable[[Profile], float], base: Callable[[Profile], float]
    ) -> float | None:
        """Ours to gorilla's, round by round, the median; None if either is missing."""
        pairs = list(zip(self.profiles.get(OURS, ()), self.profiles.get(GORILLA, ()), strict=False))
        return median(value(ours) / base(other) for ours, other in pairs) if pairs else None


def single_us(found: Profile) -> float:
    """CPU microseconds a delivery, one message at a time."""
    return found.single.us


def tick_us(found: Profile) -> float:
    """CPU microseconds a delivery, ten messages at once."""
    return found.tick.us


# -- measuring ------------------------------------------------------------------------------


def measure(options: argparse.Namespace) -> Found:
    """Measure what was asked for. Raises Broken."""
    found = Found()
    if "broadcasts" in options.parts:
        load = Load(options.connections)
        if options.quick:
            load = Load(options.connections, singles=5, ticks=2, delays=5, settle=0.1)
        for turn in range(options.rounds):
            # Another one first each time, ours and gorilla beside each other.
            names = options.peers if turn % 2 == 0 else options.peers[::-1]
            for name in names:
                if name not in found.skipped:
                    _broadcast(found, name, load)
    if OURS in options.peers:
        _endure(found, options)
    return found


def _broadcast(found: Found, name: str, load: Load) -> None:
    with tempfile.TemporaryDirectory(prefix="bench-") as path:
        try:
            hub, process = prepare(name, Path(path))
        except Missing as error:
            found.skipped[name] = str(error)
            print(f"SKIPPED {name}: {error}\n", file=sys.stderr, flush=True)
            return
        with process, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            measured = runner.run(profile(name, hub, process, load))
    found.profiles.setdefault(name, []).append(measured)
    print(describe(measured), file=sys.stderr, flush=True)


def _endure(found: Found, options: argparse.Namespace) -> None:
    """The parts that are ours alone; two hubs at once."""
    if "stuck" in options.parts:
        with _pair() as (runner, one, other):
            published = options.megabytes * 1_000_000
            found.stuck = runner.run(stuck(one, other, options.readers, options.stuck, published))
        print(describe_stuck(found.stuck), file=sys.stderr, flush=True)
    if "drain" in options.parts:
        with _pair() as (runner, one, other):
            found.drain = runner.run(drain(one, other, options.connections, DRAIN_RATE))
        print(describe_drain(found.drain), file=sys.stderr, flush=True)


@contextmanager
def _pair() -> Iterator[tuple[asyncio.Runner, Running, Running]]:
    """An event loop, and two of our hubs. Raises Broken."""
    with tempfile.TemporaryDirectory(prefix="bench-") as path, ExitStack() as stack:
        pair = []
        for _ in range(2):
            hub, process = prepare(OURS, Path(path))
            pair.append((hub, stack.enter_context(process)))
        runner = stack.enter_context(asyncio.Runner(loop_factory=uvloop.new_event_loop))
        yield runner, pair[0], pair[1]


# -- telling --------------------------------------------------------------------------------


def describe(found: Profile) -> str:
    """A profile as text."""
    held = "" if found.held_ms is None else f"; held its loop {found.held_ms:.1f} ms at most"
    return f"""\
{found.hub}, {found.connections:,} connections
  memory  {found.empty / 1e6:.1f} MB empty, {found.idle / 1e6:.1f} MB with all of them idle, \
{found.each_kb:.2f} KB each; {found.loaded / 1e6:.1f} MB after the load
  join    {found.joins_per_s:,.0f} a second, {found.join_us:.0f} us of CPU each
  single  {found.single.us:.2f} us a delivery, {found.single.kernel:.0%} the kernel's, \
core {found.single.core:.0%}; the clients {found.single.load_us:.2f} us
  tick    {found.tick.us:.2f} us a delivery, {found.tick.kernel:.0%} the kernel's, \
core {found.tick.core:.0%}; the clients {found.tick.load_us:.2f} us
  delay   median {found.delay_ms:.1f} ms, worst {found.worst_ms:.1f} ms of \
{len(found.delays_ms)}; half of them after {found.half_ms:.1f} ms{held}
          of each {found.waited_ms[0]:.1f} ms without a core; the clients \
{found.waited_ms[1]:.1f} ms
"""


def describe_stuck(found: Stuck) -> str:
    """What stuck readers did, as text."""
    return f"""\
{OURS}, {found.stuck} clients that never read beside {found.readers:,} that do, \
{found.published / 1e6:.0f} MB published
  memory  {found.more / 1e6:+.1f} MB more than without them, at most; \
{found.kernel / 1e6:.0f} MB more in the kernel's sockets
  CPU     {found.us:.2f} us a delivery, {found.us_without:.2f} without them: \
{found.cpu:.3f} times, {found.steady:.3f} the median burst
  delay   {found.delay:.3f} times; worst {found.worst_ms[0]:.1f} ms, \
{found.worst_ms[1]:.1f} ms without them
  closed  {found.let_go} of them by the hub
"""


def describe_drain(found: Drain) -> str:
    """A drain as text."""
    return f"""\
{OURS}, {found.connections:,} clients told to go, {found.rate:,.0f} a second configured
  joins   {found.highest:,.0f} began in the busiest second; all done after {found.seconds:.1f} s
  closed  {found.closed}
"""


def table(found: Found) -> str:
    """All hubs side by side, and ours beside gorilla."""
    head = (
        f"{'hub':<12}{'empty MB':>10}{'idle MB':>9}{'KB each':>9}{'joins/s':>9}{'us/join':>9}"
        f"{'single us':>11}{'tick us':>9}{'delay ms':>10}{'worst ms':>10}"
    )
    lines = [head, "-" * len(head)]
    for name, rounds in found.profiles.items():
        lines.append(
            f"{name:<12}{found.middle(name, lambda p: p.empty) / 1e6:>10.1f}"
            f"{found.middle(name, lambda p: p.idle) / 1e6:>9.1f}"
            f"{found.middle(name, lambda p: p.each_kb):>9.2f}"
            f"{found.middle(name, lambda p: p.joins_per_s):>9,.0f}"
            f"{found.middle(name, lambda p: p.join_us):>9.0f}"
            f"{found.middle(name, single_us):>11.2f}{found.middle(name, tick_us):>9.2f}"
            f"{found.middle(name, lambda p: p.delay_ms):>10.1f}"
            f"{max(p.worst_ms for p in rounds):>10.1f}"
        )
    lines += [f"skipped {name}: {reason}" for name, reason in found.skipped.items()]
    lines += [f"{name}: {value:.3f}" for name, value in ratios(found).items()]
    return "\n".join(lines) + "\n"


def ratios(found: Found) -> dict[str, float]:
    """Ours by gorilla's, and a message of a tick by a single one of ours."""
    named: dict[str, float | None] = {
        "single, ours to gorilla's": found.ratio(single_us, single_us),
        "a message of a tick, ours to gorilla's single one": found.ratio(tick_us, single_us),
        "a message of a tick, ours to gorilla's": found.ratio(tick_us, tick_us),
        "KB a connection, ours to gorilla's": found.ratio(lambda p: p.each_kb, lambda p: p.each_kb),
        "CPU of a join, ours to gorilla's": found.ratio(lambda p: p.join_us, lambda p: p.join_us),
    }
    if OURS in found.profiles:
        named["a message of a tick to a single one, both ours"] = found.middle(
            OURS, lambda p: p.tick.us / p.single.us
        )
    return {name: value for name, value in named.items() if value is not None}


# -- limits ---------------------------------------------------------------------------------


def limits(found: Found) -> Iterator[tuple[str, float, float]]:
    """What a hub has to keep: a name, what it is and what it may be at most."""
    rounds = found.profiles.get(OURS, ())
    if rounds and rounds[0].connections >= _FULL:
        yield "KB a connection above idle", found.middle(OURS, lambda p: p.each_kb), 5.0
        yield "MB resident in all", found.middle(OURS, lambda p: p.idle) / 1e6, 110.0
        yield "ms of a broadcast to all, median", max(p.delay_ms for p in rounds), 80.0
        yield "ms of a broadcast to all, worst", max(p.worst_ms for p in rounds), 80.0
    if held := [p.held_ms for p in rounds if p.held_ms is not None]:
        yield "ms that the loop was held", max(held), 10.0
    if (single := found.ratio(single_us, single_us)) is not None:
        yield "CPU of a delivery, to gorilla's", single, 0.8
    if (tick := found.ratio(tick_us, single_us)) is not None:
        yield "CPU of a message of a tick, to gorilla's single one", tick, 0.08
    if found.stuck is not None:
        yield "MB more with stuck readers", found.stuck.more / 1e6, 5.0
        yield "CPU of a delivery with stuck readers, to that without", found.stuck.cpu, 1.05
        yield "delay of the others, to that without stuck readers", found.stuck.delay, 1.1
    if found.drain is not None:
        yield "joins a second after a drain", found.drain.highest, found.drain.rate * 1.1


def over(found: Found) -> list[str]:
    """Which limits it is over."""
    return [f"{name}: {is_:.3g} > {limit:g}" for name, is_, limit in limits(found) if is_ > limit]


def draw(figure: Figure, found: Found) -> None:
    """CPU a delivery, KB a connection, delays, and the joins after a drain."""
    cpu, memory, delay, joins = figure.subplots(1, 4)
    names = list(found.profiles)
    at = range(len(names))
    for shift, (label, value) in enumerate((("single", single_us), ("ten at once", tick_us))):
        heights = [found.middle(name, value) for name in names]
        cpu.bar([x + shift * 0.4 - 0.2 for x in at], heights, width=0.4, label=label)
    cpu.set_xticks(list(at), names)
    cpu.set_title("CPU us a delivery")
    memory.bar(names, [found.middle(name, lambda p: p.each_kb) for name in names], width=0.5)
    memory.set_title("KB a connection")
    for name in names:
        every = sorted(ms for one in found.profiles[name] for ms in one.delays_ms)
        delay.plot([(i + 1) / len(every) for i in range(len(every))], every, label=name)
    delay.set_title("ms to the last client, by share")
    delay.set_ylim(bottom=0)
    if names:
        cpu.legend()
        delay.legend()
    if found.drain is not None:
        joins.hist(found.drain.joins, bins=max(1, int(found.drain.seconds) + 1))
        joins.axhline(found.drain.rate, linestyle="--", color="black")
    joins.set_title("joins after a drain, by second")


def _counted(found: Drain) -> dict[str, object]:
    """A drain with its joins counted by quarters of a second."""
    quarters = [0] * (int(found.seconds * 4) + 1)
    for at in found.joins:
        quarters[int(at * 4)] += 1
    return {**asdict(found), "joins": quarters, "seconds": found.seconds}


def document(found: Found, machine: Mapping[str, object]) -> dict[str, object]:
    """All of it for a results file."""
    return {
        "method": METHOD,
        "machine": dict(machine),
        "profiles": {name: list(map(asdict, all_)) for name, all_ in found.profiles.items()},
        "ratios": ratios(found),
        "stuck": found.stuck and asdict(found.stuck),
        "drain": found.drain and _counted(found.drain),
        "skipped": found.skipped,
        "over": over(found),
    }


# -- the program ----------------------------------------------------------------------------


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.hub", description=METHOD)
    most = min(10_000, raise_file_limit() - _SPARE_FILES)
    add = parser.add_argument
    add("--connections", type=int, default=most, help=f"clients (default: {most})")
    add("--peers", nargs="+", choices=HUBS, default=list(HUBS), help="(default: all)")
    add("--parts", nargs="+", choices=_PARTS, default=list(_PARTS), help="(default: all)")
    add("--rounds", type=int, default=2, help="of the broadcasts (default: 2)")
    add("--readers", type=int, default=1_000, help="beside the stuck ones (default: 1000)")
    add("--stuck", type=int, default=100, help="clients that never read (default: 100)")
    add("--megabytes", type=int, default=20, help="published beside them (default: 20)")
    add("--quick", action="store_true", help="200 clients: does it run?")
    add("--no-limits", action="store_true", help="measure only; do not fail over a limit")
    add("--json", action="store_true", help="print everything as JSON")
    add("--results", type=Path, default=RESULTS, help="folder of JSON and plot")
    options = parser.parse_args(argv)
    if options.quick:
        options.connections, options.rounds, options.megabytes = 200, 1, 2
        options.readers, options.stuck = 50, 5
    if not 0 < options.connections <= most:
        parser.error(f"the file limit allows {most} connections; raise it with ulimit -n")
    if options.rounds < 1:
        parser.error("there is at least one round")
    return options


def main() -> int:
    """Measure the hubs that were asked for."""
    options = arguments()
    machine = machine_now()  # before the load, which is no one else's
    print(*warnings(), sep="\n", end="\n\n", file=sys.stderr)
    stay_on_load_core()
    try:
        found = measure(options)
    except Broken as error:
        print(f"BROKEN: {error}", file=sys.stderr)
        return 1
    written = document(found, machine)
    print(orjson.dumps(written).decode() if options.json else table(found))
    if options.quick:
        return 0
    print(f"wrote {save(options.results, 'hub', written)}", file=sys.stderr)
    path = plot(options.results, "hub", 16, lambda figure: draw(figure, found))
    print(f"wrote {path}" if path else "no plot: matplotlib is not installed", file=sys.stderr)
    if found.ratio(single_us, single_us) is None:
        print(f"NOT CHECKED: what is compared with {GORILLA}", file=sys.stderr)
    complaints = over(found)
    for complaint in complaints:
        print(f"OVER ITS LIMIT: {complaint}", file=sys.stderr)
    return 0 if options.no_limits else int(bool(complaints))


if __name__ == "__main__":
    sys.exit(main())
