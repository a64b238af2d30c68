"""A fleet that registers, sends heartbeats and watches: the load of bench.registry.

One process, one event loop, one connection for each instance and each watcher, as little Python
for each message as can be.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Callable
from time import perf_counter
from typing import Final, cast

import orjson

REGISTER: Final = 60.0  # seconds between two registrations of an instance, as clients send them
APPLIED: Final = 15.0  # seconds between two words of a watcher
_TEXT: Final = 1
_PING: Final = 9
_PONG: Final = 0x8A


class Instance(asyncio.Protocol):
    """One instance, on a connection of its own."""

    __slots__ = ("_answered", "_buffer", "_transport", "generation", "name", "service", "statuses")

    def __init__(self, number: int, services: int) -> None:
        self.name = f"instance-{number}"
        self.service = f"service-{number % services}"
        self.generation = 0
        self.statuses: dict[int, int] = {}
        self._buffer = b""
        self._answered: Callable[[bytes], None] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n", 1)[0])
        if len(rest) < length:
            return
        status = int(head[9:12])
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self._buffer = b""
        if self._answered is not None:
            self._answered(rest)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        self._transport = None
        self.statuses[0] = self.statuses.get(0, 0) + 1

    def send(self, method: str, path: str, body: object, then: Callable[[bytes], None]) -> None:
        """Ask; `then` gets the body of the answer."""
        self._answered = then
        text = orjson.dumps(body)
        if self._transport is not None:
            self._transport.write(
                b"%b %b HTTP/1.1\r\nHost: registry\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (method.encode(), path.encode(), len(text), text)
            )

    @property
    def _document(self) -> dict[str, object]:
        return {
            "id": self.name, "name": self.service, "address": "10.0.0.1", "port": 8000,
            "zone": "eu-1", "version": "1.2.3", "tags": ["bench"], "meta": {"owner": "bench"},
        }  # fmt: skip

    async def register(self) -> None:
        """Be known, and believed to be well."""
        answer = await self._ask("POST", "/v1/services", self._document)
        self.generation = orjson.loads(answer)["generation"]
        await self._ask("PUT", f"/v1/services/{self.name}/heartbeat", self._heartbeat())

    def register_again(self) -> None:
        """Say the same again, so that a registry that has forgotten knows; nothing waits."""
        self.send("POST", "/v1/services", self._document, _ignored)

    def beat(self) -> None:
        """A heartbeat; nothing waits for its answer."""
        self.send("PUT", f"/v1/services/{self.name}/heartbeat", self._heartbeat(), _ignored)

    def _heartbeat(self) -> dict[str, object]:
        return {"generation": self.generation, "load": {"connections": 3, "in_flight": 1}}

    async def _ask(self, method: str, path: str, body: object) -> bytes:
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.send(method, path, body, future.set_result)
        return await future


def _ignored(_body: bytes) -> None:
    return None


def _as_is(protocol: asyncio.Protocol) -> Callable[[], asyncio.Protocol]:
    """A factory of the protocol that there is."""
    return lambda: protocol


class Watcher(asyncio.Protocol):
    """One watcher of one service, over a WebSocket. told: called with each change's index."""

    __slots__ = (
        "_applied",
        "_buffer",
        "_open",
        "_transport",
        "lost",
        "messages",
        "number",
        "ready",
        "service",
        "told",
    )

    def __init__(self, number: int, services: int) -> None:
        self.number = number
        self.service = f"service-{number % services}"
        self.messages = 0
        self.lost = False
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.told: Callable[[Watcher, int, float], None] | None = None
        self._applied = 0
        self._buffer = b""
        self._open = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        key = base64.b64encode(os.urandom(16))
        self._transport.write(
            b"GET /v1/watch HTTP/1.1\r\nHost: registry\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b\r\n\r\n"
            % key
        )

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        self._transport = None
        self.lost = True

    def data_received(self, data: bytes) -> None:
        now = perf_counter()
        self._buffer += data
        if not self._open:
            _, found, self._buffer = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return
            self._open = True
            self._say({"type": "hello", "watcher": f"watcher-{self.number}"})
            self._say({"type": "watch", "service": self.service})
        while (frame := self._frame()) is not None:
            kind, text = frame
            if kind == _PING:
                self._send(_PONG, text)
            elif kind == _TEXT:
                self._hear(orjson.loads(text), now)

    def _hear(self, message: dict[str, object], now: float) -> None:
        index = self._applied = cast("int", message["index"])
        self.live()
        if not self.ready.done():
            self.ready.set_result(None)
            return
        self.messages += 1
        if self.told is not None:
            self.told(self, index, now)

    def live(self) -> None:
        """Acknowledge what was heard last, once more."""
        self._say({"type": "applied", "service": self.service, "index": self._applied})

    def _frame(self) -> tuple[int, bytes] | None:
        """The next frame of a server, which is not masked (RFC 6455 5.2)."""
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        length, at = buffer[1], 2
        if length == 126:
            length, at = int.from_bytes(buffer[2:4], "big"), 4
        elif length == 127:
            length, at = int.from_bytes(buffer[2:10], "big"), 10
        if len(buffer) < at + length:
            return None
        self._buffer = buffer[at + length :]
        return buffer[0] & 15, buffer[at : at + length]

    def _say(self, message: object) -> None:
        self._send(0x81, orjson.dumps(message))

    def _send(self, head: int, text: bytes) -> None:
        """A masked frame; the mask is zero, so that the text stays as it is."""
        length = len(text)
        size = bytes([0x80 | length]) if length < 126 else b"\xfe" + length.to_bytes(2, "big")
        if self._transport is not None:
            self._transport.write(bytes([head]) + size + b"\0\0\0\0" + text)


class _Paced:
    """Numbers things that are to be done `rate` times a second."""

    __slots__ = ("_done", "_rate")

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._done = 0

    def late(self, elapsed: float) -> float:
        """Seconds by which the next one is."""
        return max(0.0, elapsed - self._done / self._rate)

    def due(self, elapsed: float) -> range:
        """Those whose time has come since this was last asked."""
        begin, self._done = self._done, max(self._done, int(elapsed * self._rate) + 1)
        return range(begin, self._done)


class Fleet:
    """All of them, against a registry on `port`."""

    def __init__(self, port: int, instances: int, services: int, watchers: int) -> None:
        self._port = port
        self.instances = [Instance(number, services) for number in range(instances)]
        self.watchers = [Watcher(number, services) for number in range(watchers)]
        self.late = 0.0  # seconds, the worst by which a heartbeat was sent after its time

    async def join(self, at_once: int = 200) -> None:
        """Connect and register everybody, then let the watchers come."""
        loop = asyncio.get_running_loop()
        for begin in range(0, len(self.instances), at_once):
            some = self.instances[begin : begin + at_once]
            await asyncio.gather(
                *(loop.create_connection(_as_is(i), "127.0.0.1", self._port) for i in some)
            )
            await asyncio.gather(*(instance.register() for instance in some))
        for begin in range(0, len(self.watchers), at_once):
            several = self.watchers[begin : begin + at_once]
            await asyncio.gather(
                *(loop.create_connection(_as_is(w), "127.0.0.1", self._port) for w in several)
            )
            await asyncio.gather(*(watcher.ready for watcher in several))

    async def beat(self, every: float, seconds: float) -> None:
        """What a fleet says while nothing changes, evenly spread over `seconds`.

        Heartbeats of all each `every` seconds; each minute their registrations, half of `every`
        after a heartbeat; and each 15 s the word of every watcher.
        """
        size = len(self.instances)
        laps = max(1, int(REGISTER / every))
        beats = _Paced(size / every)
        again = _Paced(size / REGISTER)
        words = _Paced(len(self.watchers) / APPLIED)
        began = perf_counter()
        while (elapsed := perf_counter() - began) < seconds:
            self.late = max(self.late, beats.late(elapsed))
            for number in beats.due(elapsed):
                self.instances[number % size].beat()
            for number in again.due(elapsed):
                at = laps * number
                self.instances[(at + size // 2 + at // size) % size].register_again()
            for number in words.due(elapsed):
                self.watchers[number % len(self.watchers)].live()
            await asyncio.sleep(0.002)

    async def change(self, count: int, pause: float) -> tuple[list[float], int]:
        """Change `count` instances, one after the other, each of another service.

        Returns seconds until each watcher of a changed service knew it, and how often a watcher of
        another service was told anything.
        """
        took: list[float] = []
        strangers = 0
        for number in range(count):
            instance = self.instances[number]
            expected = [w for w in self.watchers if w.service == instance.service]
            before = sum(watcher.messages for watcher in self.watchers)
            told = asyncio.Event()
            began = perf_counter()
            here: list[float] = []

            def hear(_watcher: Watcher, _index: int, now: float) -> None:
                here.append(now - began)  # noqa: B023 - heard before the next one begins
                if len(here) >= len(expected):  # noqa: B023
                    told.set()  # noqa: B023

            for watcher in expected:
                watcher.told = hear
            path, weight = f"/v1/services/{instance.name}", number % 900 + 2
            instance.send("PATCH", path, {"weight": weight}, _ignored)
            async with asyncio.timeout(10):
                await told.wait()
            await asyncio.sleep(pause)
            for watcher in expected:
                watcher.told = None
            took += here
            after = sum(watcher.messages for watcher in self.watchers)
            strangers += after - before - len(expected)
        return took, strangers

    def answers(self) -> dict[int, int]:
        """How often each status came; 0: connections lost."""
        found: dict[int, int] = {}
        for instance in self.instances:
            for status, count in instance.statuses.items():
                found[status] = found.get(status, 0) + count
        return found
