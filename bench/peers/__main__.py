"""`python -m bench.peers`: CPU per proxied request, uaitools beside its peers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.machine import (
    Missing,
    cores,
    describe,
    program,
    raise_file_limit,
    stay_on_load_core,
    warnings,
)
from bench.peers import report
from bench.peers.proxies import PLAIN, PROXIES
from bench.peers.rounds import Outcome, compare
from bench.peers.scenarios import SCENARIOS
from bench.record import RESULTS, plot, save


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=report.METHOD)
    names = [scenario.name for scenario in SCENARIOS]
    parser.add_argument("--rounds", type=int, default=7, help="rounds (default: 7)")
    parser.add_argument("--seconds", type=float, default=2, help="a proxy and round (default: 2)")
    parser.add_argument("--quick", action="store_true", help="one round of 1 s: does it run?")
    parser.add_argument(
        "--proxy", action="append", choices=PROXIES, help="only this one; may be repeated"
    )
    parser.add_argument(
        "--scenario", action="append", choices=names, help="only this one; may be repeated"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of JSON and plot")
    options = parser.parse_args(argv)
    if options.quick:
        options.rounds, options.seconds = 1, 1.0
    if options.rounds < 1 or options.seconds <= 0:
        parser.error("--rounds and --seconds must be positive")
    return options


def run(options: argparse.Namespace) -> list[Outcome]:
    """Measure, printing each table as it is ready."""
    outcomes: list[Outcome] = []
    for scenario in SCENARIOS:
        if options.scenario and scenario.name not in options.scenario:
            continue
        outcome = compare(
            scenario,
            options.proxy or scenario.proxies or PLAIN,
            rounds=options.rounds,
            seconds=options.seconds,
        )
        print(report.table(outcome), flush=True)
        outcomes.append(outcome)
    return outcomes


def main() -> int:
    """Run the comparison; the exit code is 1 when something needed is missing or broken."""
    options = arguments()
    raise_file_limit()
    stay_on_load_core()
    try:
        for needed in ("taskset", "nginx", "wrk"):
            program(needed)
    except Missing as error:
        print(f"bench.peers: {error}", file=sys.stderr)
        return 1
    print("proxies on core {}, upstream and load on core {}".format(*cores()))
    machine = describe()  # before the load, which is no one else's
    print(*warnings(), sep="\n", end="\n\n")
    outcomes = run(options)
    if not options.quick:
        document = {"method": report.METHOD, "machine": machine, **report.document(outcomes)}
        print(f"wrote {save(options.results, 'peers', document)}")
        width = 4.2 * len(outcomes)
        path = plot(options.results, "peers", width, lambda figure: report.draw(figure, outcomes))
        print(f"wrote {path}" if path else "no plot: matplotlib is not installed")
    return 1 if any(outcome.broken for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
