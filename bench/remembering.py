"""Load on a memory service that runs: memories moved in and out, and operations at a fixed rate."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from typing import Final

import orjson

from bench.diaries import Diaries
from bench.machine import Broken, Cpu, Process, cpu, resident
from bench.openloop import OpenLoop

CONNECTIONS: Final = 50
_FEW: Final = 100  # memories that are read again and again
_WARM: Final = 2.0  # seconds of each operation before it is measured
_PATIENCE: Final = 1800.0  # seconds that the index has to follow a million
_SAMPLE: Final = 0.1  # seconds between two looks at the memory
_NDJSON: Final = "application/x-ndjson"


@dataclass(frozen=True, slots=True)
class Operation:
    """What came of one kind of request at a fixed rate. us: CPU of each, microseconds."""

    name: str
    rate: float
    requests: int
    lost: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    late_ms: float
    service_us: float
    database_us: float

    def __str__(self) -> str:
        return (
            f"{self.name:7} {self.rate:5g}/s  p50 {self.p50_ms:5.2f}  p95 {self.p95_ms:5.2f}"
            f"  p99 {self.p99_ms:6.2f}  max {self.max_ms:6.1f} ms  CPU us {self.service_us:5.0f}"
            f" + {self.database_us:5.0f} of PostgreSQL  lost {self.lost}"
            f" (sent {self.late_ms:.2f} ms late)"
        )


@dataclass(frozen=True, slots=True)
class Loaded:
    """An import, and the index that followed. us: CPU of each memory until then, microseconds."""

    memories: int
    seconds: float
    followed_seconds: float
    service_us: float
    database_us: float
    peak: int

    def __str__(self) -> str:
        return (
            f"{self.memories:,} imported in {self.seconds:.1f} s"
            f" ({self.memories / self.seconds:,.0f}/s), followed {self.followed_seconds:.1f} s"
            f" later; CPU us {self.service_us:.0f} + {self.database_us:.0f} of PostgreSQL;"
            f" at most {self.peak / 1e6:.0f} MB"
        )


@dataclass(frozen=True, slots=True)
class Transferred:
    """An import or export.

    growth: bytes that the service had more than when a tenth of the time was over, at most.
    """

    name: str
    memories: int
    size: int
    seconds: float
    service_us: float
    database_us: float
    growth: int
    resident: list[int] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.name} of {self.memories:,} ({self.size / 1e6:,.0f} MB) in {self.seconds:.1f} s"
            f" ({self.memories / self.seconds:,.0f}/s), CPU us {self.service_us:.0f} +"
            f" {self.database_us:.0f} of PostgreSQL, grown by {self.growth / 1e6:.1f} MB"
        )


class Service:
    """A service that runs. postmaster: the id of its PostgreSQL."""

    def __init__(self, process: Process, postmaster: int) -> None:
        self.port = process.port
        self._pid = process.pid
        self._postmaster = postmaster

    def __repr__(self) -> str:
        return f"<Service port={self.port}>"

    def resident(self) -> int:
        """Bytes of the service's process."""
        return resident(self._pid)

    def spent(self) -> tuple[Cpu, Cpu]:
        """The CPU of the service, and of PostgreSQL."""
        return cpu(self._pid), cpu(self._postmaster)

    def since(self, before: tuple[Cpu, Cpu], count: int) -> tuple[float, float]:
        """Microseconds of both for each of `count` operations."""
        pairs = zip(self.spent(), before, strict=True)
        service, database = ((now - then).total * 1e6 / max(1, count) for now, then in pairs)
        return service, database

    def followed(self) -> int:
        """How many memories the index has followed."""
        with self.asked("GET", "/metrics") as response:
            for line in response.read().decode().splitlines():
                if line.startswith("memory_followed_total"):
                    return int(float(line.split()[-1]))
        raise Broken("the service has no metric memory_followed_total")

    @contextmanager
    def asked(
        self, method: str, path: str, body: Iterable[bytes] | None = None
    ) -> Iterator[HTTPResponse]:
        """A good answer. body: lines of memories. Raises Broken."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=_PATIENCE)
        headers = {} if body is None else {"Content-Type": _NDJSON, "Transfer-Encoding": "chunked"}
        try:
            connection.request(method, path, body, headers, encode_chunked=body is not None)
            response = connection.getresponse()
            if response.status != 200:
                raise Broken(f"{method} {path}: {response.status} {response.read(500)!r}")
            yield response
        except OSError as error:
            raise Broken(f"{method} {path}: {error}") from error
        finally:
            connection.close()


def load(service: Service, diaries: Diaries) -> Loaded:
    """Import everything, and wait for the index. Raises Broken."""
    before, began = service.spent(), time.perf_counter()
    with _watched(service) as sizes:
        _put(service, diaries)
        seconds = time.perf_counter() - began
        _await_index(service, diaries.memories)
    followed = time.perf_counter() - began - seconds
    used = service.since(before, diaries.memories)
    return Loaded(diaries.memories, seconds, followed, *used, max(sizes))


def operate(
    service: Service, diaries: Diaries, name: str, rate: float, seconds: float
) -> Operation:
    """One kind of request for so long, after a while to warm up."""
    warming = min(seconds, _WARM)
    warm, count = round(rate * warming), round(rate * seconds)
    requests = _KINDS[name](diaries, warm + count)
    generator = OpenLoop(service.port)
    try:
        generator.open(CONNECTIONS)
        generator.run(rate, warming, requests[:warm])
        before = service.spent()
        measured = generator.run(rate, seconds, requests[warm:])
        used = service.since(before, count)
    finally:
        generator.close()
    p50, p95, p99, most = (measured.quantile(part) * 1e3 for part in (0.5, 0.95, 0.99, 1.0))
    late = measured.late * 1e3
    return Operation(name, rate, measured.requests, measured.lost, p50, p95, p99, most, late, *used)


def transfer(service: Service, diaries: Diaries) -> list[Transferred]:
    """Import everything, wait for the index, and export it. Raises Broken."""
    count = diaries.memories
    found = [_measured(service, "import", count, lambda: _put(service, diaries))]
    _await_index(service, count)
    found.append(_measured(service, "export", count, lambda: _take(service, count)))
    return found


# -- requests -------------------------------------------------------------------------------


def _creates(diaries: Diaries, count: int) -> list[bytes]:
    first = diaries.memories
    return [_post("/memories", diaries.draft(first + number)) for number in range(count)]


def _gets(diaries: Diaries, count: int) -> list[bytes]:
    # A step that is prime to any count spreads them over everything.
    return [_get(diaries, number * 7919 % diaries.memories) for number in range(count)]


def _same_gets(diaries: Diaries, count: int) -> list[bytes]:
    few = _gets(diaries, _FEW)
    return [few[number % _FEW] for number in range(count)]


def _searches(diaries: Diaries, count: int) -> list[bytes]:
    return [
        _post("/memories/search", diaries.query(number * 7919 % diaries.memories))
        for number in range(count)
    ]


_KINDS: Final[dict[str, Callable[[Diaries, int], list[bytes]]]] = {
    "create": _creates,
    "get": _gets,
    "again": _same_gets,
    "search": _searches,
}


def _post(path: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _get(diaries: Diaries, number: int) -> bytes:
    path = f"/memories/{diaries.name(number)}?user_id={diaries.user(number)}"
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


# -- moving ---------------------------------------------------------------------------------


def _put(service: Service, diaries: Diaries) -> int:
    """Import everything; how many bytes that were."""
    sent = 0

    def lines() -> Iterator[bytes]:
        nonlocal sent
        for chunk in diaries.chunks(0, diaries.memories):
            sent += len(chunk)
            yield chunk

    with service.asked("POST", "/memories/import", lines()) as response:
        said = orjson.loads(response.read())
    if said["imported"] != diaries.memories:
        raise Broken(f"the import says {said}")
    return sent


def _take(service: Service, count: int) -> int:
    """Export everything; how many bytes that were."""
    size = lines = 0
    with service.asked("GET", "/memories/export") as response:
        while data := response.read1(1 << 18):
            size += len(data)
            lines += data.count(b"\n")
    if lines != count:
        raise Broken(f"the export has {lines} lines of {count}")
    return size


def _await_index(service: Service, count: int) -> None:
    deadline = time.monotonic() + _PATIENCE
    while service.followed() < count:
        if time.monotonic() > deadline:
            raise Broken(f"the index has followed {service.followed()} of {count} memories")
        time.sleep(0.1)


def _measured(service: Service, name: str, count: int, work: Callable[[], int]) -> Transferred:
    before, began = service.spent(), time.perf_counter()
    with _watched(service) as sizes:
        size = work()
    seconds = time.perf_counter() - began
    used = service.since(before, count)
    warm = sizes[len(sizes) // 10 :]
    shown = sizes[:: max(1, len(sizes) // 200)]
    return Transferred(name, count, size, seconds, *used, max(warm) - warm[0], shown)


@contextmanager
def _watched(service: Service) -> Iterator[list[int]]:
    """What the service has resident while the block lasts."""
    sizes = [service.resident()]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_SAMPLE):
            sizes.append(service.resident())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield sizes
    finally:
        over.set()
        watcher.join()
