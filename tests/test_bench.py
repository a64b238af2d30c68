"""The benchmarks' own arithmetic, and that their generators see what happens on the wire."""

import asyncio
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from socket import create_server

import pytest

from bench.load import Load, parse_wrk
from bench.machine import Missing, cpu, program, resident
from bench.openloop import OpenLoop, quantile
from bench.peers.__main__ import arguments
from bench.peers.report import table
from bench.peers.rounds import Outcome, Row, Sample
from bench.peers.scenarios import SCENARIOS
from bench.ticker import Ticker
from bench.upstreams import fill

ROOT = Path(__file__).parent.parent
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
REFUSAL = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\nno"

WRK = """\
Running 2s test @ http://127.0.0.1:8081/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.02ms    0.31ms   9.11ms   90.00%
  71234 requests in 2.01s, 20.01MB read
  Socket errors: connect 1, read 2, write 0, timeout 3
  Non-2xx or 3xx responses: 4
Requests/sec:  35439.80
"""


def row(proxy: str, *cpu_us: float) -> Row:
    return Row(proxy, [Sample(value, 0.5, 1000.0, 0.9, 0) for value in cpu_us])


def test_wrk_report() -> None:
    assert parse_wrk(WRK, 2.0) == Load(71234, 10, 2.0)


def test_something_else_than_a_wrk_report() -> None:
    with pytest.raises(ValueError, match="unable to connect"):
        parse_wrk("unable to connect to 127.0.0.1", 2.0)


def test_ratios_are_taken_round_by_round() -> None:
    # The machine was twice as slow in the second round; the ratio knows nothing of it.
    ratios = row("uaitools", 11.0, 22.0, 12.0).ratios(row("nginx", 10.0, 20.0, 10.0))

    assert ratios == pytest.approx([1.1, 1.1, 1.2])


def test_table_names_what_was_skipped_and_lists_the_cheapest_first() -> None:
    rows = (row("uaitools", 11.0), row("nginx", 10.0))

    text = table(Outcome(SCENARIOS[0], rows, {"caddy": "caddy is not installed"}))

    assert text.index(" nginx ") < text.index(" uaitools ")
    assert "1.10" in text
    assert "skipped caddy: caddy is not installed" in text


def test_table_without_nginx_has_no_ratios() -> None:
    assert "uaitools" in table(Outcome(SCENARIOS[0], (row("uaitools", 11.0),), {}))


def test_quick_is_one_round() -> None:
    assert arguments(["--quick"]).rounds == 1


@pytest.mark.parametrize("argv", [["--rounds", "0"], ["--proxy", "squid"], ["--scenario", "x"]])
def test_wrong_flags_are_refused(argv: list[str]) -> None:
    with pytest.raises(SystemExit):
        arguments(argv)


def test_quantiles_are_nearest_rank() -> None:
    values = [float(value) for value in range(1000)]

    assert quantile(values, 0.99) == 990.0
    assert quantile(values, 1.0) == 999.0
    assert quantile([], 0.5) == 0.0


def test_template_values(tmp_path: Path) -> None:
    template = tmp_path / "in"
    template.write_text("listen @PORT@; $host @PORT_A@")

    assert fill(template, tmp_path / "out", port=1, port_a=2).read_text() == "listen 1; $host 2"


def test_missing_program_says_what_to_do() -> None:
    with pytest.raises(Missing, match="no-such-program is not installed; install it"):
        program("no-such-program", "install it")


def test_cpu_and_memory_of_a_process() -> None:
    before = cpu(os.getpid())
    sum(range(2_000_000))
    used = cpu(os.getpid()) - before

    assert 0.001 < used.total < 60
    assert resident(os.getpid()) > 1 << 20


def test_ticker_counts_periods() -> None:
    async def ticks() -> int:
        ticker = Ticker(0.001)
        try:
            await asyncio.sleep(0.05)
            return ticker.read()
        finally:
            ticker.close()

    assert asyncio.run(ticks()) >= 40


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[int]:
    """A server on one thread that gives each connection the parametrised answer, or closes it."""
    listener = create_server(("127.0.0.1", 0))

    def converse() -> None:
        connection, _ = listener.accept()
        with connection:
            while connection.recv(65536):
                if not request.param:
                    return
                for piece in request.param:
                    connection.sendall(piece)

    thread = threading.Thread(target=converse, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    listener.close()
    thread.join(5)


def measure(port: int) -> tuple[int, int, int]:
    """Requests, answered, lost of a short open loop over one connection."""
    load = OpenLoop(port)
    load.open(1)
    try:
        measured = load.run(rate=200, seconds=0.1)
    finally:
        load.close()
    assert list(measured.latencies) == sorted(measured.latencies)
    return measured.requests, len(measured.latencies), measured.lost


@pytest.mark.parametrize("server", [[ANSWER], [ANSWER[:9], ANSWER[9:]]], indirect=True)
def test_open_loop_hears_every_answer(server: int) -> None:
    assert measure(server) == (20, 20, 0)


@pytest.mark.parametrize("server", [[REFUSAL]], indirect=True)
def test_open_loop_counts_refusals_as_lost(server: int) -> None:
    assert measure(server) == (20, 0, 20)


@pytest.mark.parametrize("server", [[]], indirect=True)
def test_open_loop_counts_requests_on_a_closed_connection_as_lost(server: int) -> None:
    assert measure(server) == (20, 0, 20)


def test_micro_benchmarks_run() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "bench/micro", "-q", "-p", "no:xdist"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_quick_comparison(tmp_path: Path) -> None:
    argv = ["--quick", "--scenario", "same", "--proxy", "nginx", "--proxy", "uaitools"]
    done = subprocess.run(
        [sys.executable, "-m", "bench.peers", *argv, "--results", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "skipped" not in done.stdout
