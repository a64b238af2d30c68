"""`python -m bench.soak`: what stays in memory after many reloads and many clients.

A gateway in which every policy is on that remembers clients is warmed up, then reloaded a thousand
times under load, then asked by a million clients that each come once. Memory is what the process
has resident. A request that is lost, or memory that grows by more than 5 MB, ends it with status 1.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bench.machine import Process, cores, free_port, program, resident, stay_on_load_core
from bench.peers.policies import KEY, SECRET, write_keys
from bench.record import RESULTS, save
from bench.upstreams import answering, fill, source_environment

_HERE: Final = Path(__file__).parent
_LIMIT: Final = 5.0  # MB
_CONNECTIONS: Final = 32
_COUNT: Final = re.compile(r"(\d+) requests in ")
_ERRORS: Final = re.compile(r"(?:Non-2xx or 3xx responses: |connect |read |write |timeout )(\d+)")


def start_load(port: int, seconds: int) -> subprocess.Popen[str]:
    """Wrk against the gateway."""
    argv = [program("taskset"), "-c", str(cores()[1]), program("wrk"), "-t1"]
    argv.append(f"-c{_CONNECTIONS}")
    argv += [f"-d{seconds}s", "-s", str(_HERE / "soak.lua")]
    argv.append(f"http://127.0.0.1:{port}/api/chat")
    environment = {**os.environ, "BENCH_TOKEN": KEY}
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environment)


def finish(load: subprocess.Popen[str]) -> tuple[int, int]:
    """Requests that were answered, and errors."""
    output, _ = load.communicate()
    found = _COUNT.search(output)
    if found is None:
        raise RuntimeError(f"wrk reported nothing: {output[-300:]}")
    return int(found[1]), sum(int(number) for number in _ERRORS.findall(output))


def reload_often(process: Process, config: Path, times: int, pause: float) -> tuple[int, int]:
    """Reload under load, each time another configuration."""
    load = start_load(process.port, int(times * pause) + 2)
    text = config.read_text()
    for number in range(times):
        config.write_text(text.replace('"1000000/day"', f'"{2_000_000 + number % 2}/day"'))
        os.kill(process.pid, signal.SIGHUP)
        time.sleep(pause)
    return finish(load)


def many_clients(process: Process, clients: int) -> tuple[int, int]:
    """Requests from so many clients that each come once."""
    answered = errors = 0
    while answered < clients:
        more, wrong = finish(start_load(process.port, 20))
        answered, errors = answered + more, errors + wrong
    return answered, errors


def main() -> int:
    """Run both; the exit status is 1 when memory grew or a request was lost."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--reloads", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=1_000_000)
    options = parser.parse_args()
    stay_on_load_core()
    found: dict[str, object] = {}
    failed = False
    with tempfile.TemporaryDirectory(prefix="soak-") as name, answering(Path(name)) as upstreams:
        port = free_port()
        config = fill(
            _HERE / "soak.toml",
            Path(name) / "soak.toml",
            port=port,
            port_a=upstreams[0],
            port_b=upstreams[1],
            keys=write_keys(Path(name)),
            secret=SECRET,
        )
        argv = (sys.executable, "-P", "-m", "uaitools.proxy", "--config", str(config))
        env = source_environment()
        with Process(
            "soak", argv, core=cores()[0], folder=Path(name), port=port, env=env
        ) as gateway:
            many_clients(gateway, 200_000)
            reload_often(gateway, config, 50, 0.05)
            runs: dict[str, Callable[[], tuple[int, int]]] = {
                "reloads": lambda: reload_often(gateway, config, options.reloads, 0.1),
                "clients": lambda: many_clients(gateway, options.clients),
            }
            for title, run in runs.items():
                before = resident(gateway.pid)
                answered, errors = run()
                grown = (resident(gateway.pid) - before) / 1e6
                failed = failed or errors > 0 or grown > _LIMIT
                found[title] = {"answered": answered, "errors": errors, "grown_mb": round(grown, 2)}
                print(
                    f"{title}: {answered:,} answered, {errors} errors, {grown:+.2f} MB", flush=True
                )
    print(f"wrote {save(RESULTS, 'soak', found)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
