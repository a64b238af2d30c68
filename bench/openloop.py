"""Load at a fixed rate over many connections, whatever the answers do (no coordinated omission).

Requests have moments in a schedule. A latency counts from that moment, not from when the request
could be sent: while a proxy stalls, the requests that it holds up wait in its account. Sending is
driven by a fine clock, receiving by epoll on plain sockets: some 10 us of CPU a request, which
leaves room for the upstream on the same core.
"""

from __future__ import annotations

import gc
import select
import socket
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Final

from bench.load import HEADERS
from bench.ticker import Ticker

_TICK: Final = 0.0002  # seconds between two looks at the schedule
_GRACE: Final = 3.0  # seconds that late answers get after the last request
_OK: Final = b"HTTP/1.1 2"
_BATCH: Final = 256  # connections opened between two pauses for the listener


@dataclass(slots=True)
class Connection:
    """A keep-alive connection with at most one request on it.

    scheduled: the moment of the request under way on the clock of `perf_counter`, 0 when idle.
    """

    sock: socket.socket
    scheduled: float = 0.0
    received: bytes = b""


@dataclass(frozen=True, slots=True)
class Measured:
    """An open-loop run: requests in the schedule, latencies in seconds, requests without a 2xx.

    late: the 99th percentile of how far behind its schedule the generator itself sent, seconds,
    while it had an idle connection; latencies contain it.
    """

    requests: int
    latencies: tuple[float, ...]
    lost: int
    late: float
    seconds: float

    def quantile(self, part: float) -> float:
        """The latency in seconds that `part` of the answers did not exceed."""
        return quantile(self.latencies, part)


def quantile(ordered: Sequence[float], part: float) -> float:
    """The nearest-rank quantile of ascending values; 0 when there are none."""
    if not ordered:
        return 0.0
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


class OpenLoop:
    """Connections to a port of the loopback, and requests on them at a given rate."""

    def __init__(self, port: int, path: str = "/api/chat") -> None:
        self._port = port
        lines = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
        self._same = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{lines}\r\n".encode()
        self._requests: Iterator[bytes] = repeat(self._same)
        self._poller = select.epoll()
        self._connections: dict[int, Connection] = {}
        self._idle: deque[Connection] = deque()
        self._waiting: deque[float] = deque()  # moments of requests without a connection
        self._latencies: list[float] = []
        self._late: list[float] = []
        self._failed = 0

    def __repr__(self) -> str:
        return f"<OpenLoop port={self._port} open={len(self._connections)} idle={len(self._idle)}>"

    def open(self, count: int) -> None:
        """Open `count` more connections. Raises OSError."""
        for number in range(count):
            sock = socket.create_connection(("127.0.0.1", self._port), timeout=10)
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = self._connections[sock.fileno()] = Connection(sock)
            self._poller.register(sock.fileno(), select.EPOLLIN)
            self._idle.append(connection)
            if number % _BATCH == _BATCH - 1:
                time.sleep(0.01)

    def close(self) -> None:
        """Close every connection."""
        for connection in self._connections.values():
            connection.sock.close()
        self._connections.clear()
        self._idle.clear()
        self._poller.close()

    def run(self, rate: float, seconds: float, requests: Iterable[bytes] = ()) -> Measured:
        """Send `rate` requests a second for so long, evenly, over all connections in turn.

        requests: one after the other, at least as many; the same GET where there are none.
        """
        self._requests = iter(requests or repeat(self._same))
        self._latencies, self._late, self._failed = [], [], 0
        total = round(rate * seconds)
        ticker = Ticker(_TICK)
        self._poller.register(ticker.fileno(), select.EPOLLIN)
        gc.collect()
        gc.freeze()  # or each collection walks all connections, for milliseconds
        gc.disable()
        try:
            elapsed = self._loop(ticker, rate, total)
        finally:
            gc.enable()
            gc.unfreeze()
            self._poller.unregister(ticker.fileno())
            ticker.close()
        return Measured(
            requests=total,
            latencies=tuple(sorted(self._latencies)),
            lost=total - len(self._latencies),
            late=quantile(sorted(self._late), 0.99),
            seconds=elapsed,
        )

    def _loop(self, ticker: Ticker, rate: float, total: int) -> float:
        clock = time.perf_counter
        began = clock()
        sent = 0
        end = began + total / rate
        while (
            self._connections
            and len(self._latencies) + self._failed < total
            and clock() < end + _GRACE
        ):
            for fd, _ in self._poller.poll(1.0):
                if fd != ticker.fileno():
                    self._receive(fd)
                    continue
                ticker.read()
                due = min(total, int((clock() - began) * rate) + 1)
                for number in range(sent, due):
                    self._send(began + number / rate)
                sent = due
        return min(clock(), end) - began

    def _send(self, scheduled: float) -> None:
        if not self._idle:
            self._waiting.append(scheduled)
            return
        self._late.append(time.perf_counter() - scheduled)
        self._write(self._idle.popleft(), scheduled)

    def _write(self, connection: Connection, scheduled: float) -> None:
        connection.scheduled = scheduled
        try:
            connection.sock.send(next(self._requests))
        except OSError:
            self._fail(connection)

    def _receive(self, fd: int) -> None:
        connection = self._connections.get(fd)
        if connection is None:
            return
        try:
            data = connection.sock.recv(65536)
        except OSError:
            data = b""
        if not data:
            self._fail(connection)
            return
        if connection.received:
            data = connection.received + data
        if not _complete(data):
            connection.received = data
            return
        connection.received = b""
        if data.startswith(_OK):
            self._latencies.append(time.perf_counter() - connection.scheduled)
        else:
            self._failed += 1
        connection.scheduled = 0.0
        if self._waiting:
            self._write(connection, self._waiting.popleft())
        else:
            self._idle.append(connection)

    def _fail(self, connection: Connection) -> None:
        """The connection has ended; with a request on it, that one is lost."""
        self._poller.unregister(connection.sock.fileno())
        del self._connections[connection.sock.fileno()]
        connection.sock.close()
        if connection.scheduled:
            self._failed += 1
        elif connection in self._idle:
            self._idle.remove(connection)


def _complete(data: bytes) -> bool:
    """Whether a whole answer with a Content-Length is here."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return False
    at = data.find(b"Content-Length: ")
    if at < 0 or at > end:
        at = data.lower().find(b"content-length: ")
    if at < 0 or at > end:
        return True
    return len(data) >= end + 4 + int(data[at + 16 : data.find(b"\r\n", at)])
