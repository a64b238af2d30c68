"""Closed-loop load: as many requests as the connections allow, from the core of the load."""

from __future__ import annotations

import os
import re
import select
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.machine import cores, program

# Eight headers with Host, as a chat client sends them.
HEADERS: Final = {
    "User-Agent": "bench/1.0",
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate",
    "Accept-Language": "en",
    "Authorization": "Bearer abcdefghijklmnopqrstuvwxyz",
    "Cookie": "session=1234567",
    "X-Trace": "t1234567",
}
_COUNT: Final = re.compile(r"(\d+) requests in ")
_BAD_STATUS: Final = re.compile(r"Non-2xx or 3xx responses: (\d+)")
_BAD_SOCKET: Final = re.compile(
    r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)"
)


@dataclass(frozen=True, slots=True)
class Load:
    """What a load got: answers (or events), how many of them were errors, in how many seconds."""

    count: int
    errors: int
    seconds: float


# A load runs inside the meter that it is given, for so many seconds, against a port.
Meter = Callable[[], AbstractContextManager[None]]
Generator = Callable[[int, float, Meter], Load]


def wrk(
    connections: int,
    path: str,
    script: Path | None = None,
    token: Callable[[], str] | None = None,
) -> Generator:
    """Load by wrk, one thread; `script` makes the requests, else they all have the same HEADERS.

    token: makes the bearer token that they have instead of a fixed one.
    """

    def run(port: int, seconds: float, meter: Meter) -> Load:
        argv = [program("taskset"), "-c", str(cores()[1]), program("wrk"), "-t1"]
        argv += [f"-c{connections}", f"-d{max(1, round(seconds))}s"]
        env = dict(os.environ)
        headers = dict(HEADERS)
        if token is not None:
            env["BENCH_TOKEN"] = token()
            headers["Authorization"] = f"Bearer {env['BENCH_TOKEN']}"
        if script is not None:
            argv += ["-s", str(script)]
        else:
            argv += [f"-H{name}: {value}" for name, value in headers.items()]
        argv.append(f"http://127.0.0.1:{port}{path}")
        with meter():
            began = time.perf_counter()
            done = subprocess.run(argv, capture_output=True, text=True, check=True, env=env)
            elapsed = time.perf_counter() - began
        return parse_wrk(done.stdout, elapsed)

    return run


def parse_wrk(output: str, seconds: float) -> Load:
    """What wrk's report says. Raises ValueError when it is none."""
    count = _COUNT.search(output)
    if count is None:
        raise ValueError(f"wrk reported nothing: {output[-500:]}")
    errors = sum(
        int(number)
        for pattern in (_BAD_STATUS, _BAD_SOCKET)
        for match in pattern.finditer(output)
        for number in match.groups()
    )
    return Load(int(count[1]), errors, seconds)


def streams(count: int, path: str) -> Generator:
    """Read `count` event streams; an event is one blank line, an error a stream that ended."""

    def run(port: int, seconds: float, meter: Meter) -> Load:
        opened = [_open_stream(port, path) for _ in range(count)]
        try:
            _read_events(opened, 0.3)  # past the heads, and into the steady state
            with meter():
                began = time.perf_counter()
                events, ended = _read_events(opened, seconds)
                elapsed = time.perf_counter() - began
        finally:
            for stream in opened:
                stream.close()
        return Load(events, ended, elapsed)

    return run


def _open_stream(port: int, path: str) -> socket.socket:
    stream = socket.create_connection(("127.0.0.1", port), timeout=5)
    lines = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
    stream.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{lines}\r\n".encode())
    stream.setblocking(False)
    return stream


def _read_events(opened: list[socket.socket], seconds: float) -> tuple[int, int]:
    """Events and ended streams within `seconds`."""
    poller = select.epoll()
    by_fd = {stream.fileno(): stream for stream in opened}
    for fd in by_fd:
        poller.register(fd, select.EPOLLIN)
    events = ended = 0
    deadline = time.perf_counter() + seconds
    while (left := deadline - time.perf_counter()) > 0:
        for fd, _ in poller.poll(left):
            data = by_fd[fd].recv(1 << 16)
            events += data.count(b"\n\n")
            if not data:
                ended += 1
                poller.unregister(fd)
    poller.close()
    return events, ended
