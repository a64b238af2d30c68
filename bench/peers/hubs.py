"""How each hub is started, and how it is told to publish.

All do the same work: a client connects to /ws and gets every message, each is pinged every 25 s,
nothing is compressed or encrypted. A message is a text of so many bytes; ours are the hub's own
JSON, padded to that length.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Protocol

import orjson

from bench.machine import Missing, Process, cores, free_port, program
from bench.upstreams import source_environment

_HERE: Final = Path(__file__).parent
CHANNEL: Final = "public:bench"
OURS: Final = "uaitools"
GORILLA: Final = "gorilla"  # what ratios refer to
DRAIN_RATE: Final = 2_000  # reconnections a second that a drain may cause
_BUILD_SECONDS: Final = 120.0  # the library is fetched the first time
_CONFIG: Final = """
log_level = "warning"
[hub]
listen = "127.0.0.1:{port}"
reconnects = {rate}
"""


class Press(Protocol):
    """How a hub is told to publish."""

    def requests(self, count: int, size: int) -> list[bytes]:
        """What to send at once so that everybody gets `count` messages of `size` bytes."""


@dataclass(slots=True)
class Asked:
    """A peer's: one request for all of them."""

    method: str = "POST"

    def requests(self, count: int, size: int) -> list[bytes]:
        """See Press."""
        path = f"/publish?count={count}&size={size}"
        length = "" if self.method == "GET" else "Content-Length: 0\r\n"
        return [f"{self.method} {path} HTTP/1.1\r\nHost: hub\r\n{length}\r\n".encode()]


@dataclass(slots=True)
class Published:
    """Ours: POST /v1/publish for each.

    A message's JSON has its offset in it, so its length is that of a message seen before, without
    its data and its offset's digits, plus those of the next offset.
    """

    channel: str = CHANNEL
    offset: int = 0
    _around: int = field(default=0, repr=False)

    def learn(self, message: bytes) -> None:
        """How long messages are beside their data, from one; and the offset that it has."""
        seen = orjson.loads(message)
        self.offset = seen["offset"]
        self._around = len(message) - len(orjson.dumps(seen["data"])) - len(str(self.offset))

    def requests(self, count: int, size: int) -> list[bytes]:
        """See Press. Raises ValueError when a message is longer without any data."""
        return [self._next(size) for _ in range(count)]

    def _next(self, size: int) -> bytes:
        self.offset += 1
        length = max(0, size - self._around - len(str(self.offset)) - 2)  # the quotes
        if not length and self._around:
            raise ValueError(f"a message of {size} bytes has no room for data")
        body = orjson.dumps({"channel": self.channel, "type": "message", "data": "x" * length})
        return (
            b"POST /v1/publish HTTP/1.1\r\nHost: hub\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        )


@dataclass(frozen=True, slots=True)
class Hub:
    """A program, and how to speak with it.

    greeting: what a client says first, and `welcomed` what is in the answer by which it has joined.
    """

    argv: tuple[str, ...]
    port: int
    press: Press
    greeting: bytes | None = None
    welcomed: bytes = b""
    env: dict[str, str] | None = None


Starter = Callable[[Path, int], Hub]


def gorilla(folder: Path, port: int) -> Hub:
    """gorilla/main.go, built here; the library comes from the module proxy or its cache."""
    binary = folder / "gorilla-hub"
    try:
        built = subprocess.run(
            [program("go"), "build", "-o", str(binary), "."],
            cwd=_HERE / "gorilla",
            env={**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false -mod=readonly"},
            capture_output=True,
            text=True,
            check=False,
            timeout=_BUILD_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise Missing(f"go has not built gorilla/main.go in {_BUILD_SECONDS:g} s") from None
    if built.returncode:
        raise Missing(f"go cannot build gorilla/main.go: {built.stderr.strip()[-300:]}")
    return Hub((str(binary), f"127.0.0.1:{port}"), port, Asked())


def websockets(_folder: Path, port: int) -> Hub:
    """websockets_hub.py: websockets.broadcast on uvloop."""
    if find_spec("websockets") is None:
        raise Missing("websockets is not installed; pip install websockets")
    argv = (sys.executable, str(_HERE / "websockets_hub.py"), str(port))
    return Hub(argv, port, Asked("GET"))


def aiohttp(_folder: Path, port: int) -> Hub:
    """aiohttp_hub.py: a WebSocketResponse for each client, on uvloop."""
    return Hub((sys.executable, str(_HERE / "aiohttp_hub.py"), str(port)), port, Asked())


def uaitools(folder: Path, port: int) -> Hub:
    """Ours, from this checkout: one process, no Redis, as it is without configuration."""
    config = folder / "hub.toml"
    config.write_text(_CONFIG.format(port=port, rate=DRAIN_RATE))
    argv = (sys.executable, "-P", "-m", "uaitools.hub", "--config", str(config))
    greeting = orjson.dumps({"id": 1, "type": "subscribe", "channel": CHANNEL})
    return Hub(argv, port, Published(), greeting, b'"subscribed"')


HUBS: Final[dict[str, Starter]] = {
    OURS: uaitools,
    GORILLA: gorilla,
    "websockets": websockets,
    "aiohttp": aiohttp,
}


def prepare(name: str, folder: Path) -> tuple[Hub, Process]:
    """A hub on the servers' core, started and perhaps not ready yet. Raises Missing."""
    own = folder / f"{name}-{free_port()}"
    own.mkdir()
    hub = HUBS[name](own, free_port())
    env = source_environment() if hub.env is None else hub.env
    return hub, Process(name, hub.argv, core=cores()[0], folder=own, port=hub.port, env=env)
