"""Ten thousand WebSocket clients in one process: the load of bench.hub.

A client is one slotted protocol. It shakes hands by itself and counts frames by their length,
without decoding what is in them: messages are all of one length, and whatever is not, or begins
otherwise, is read frame by frame.
"""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import struct
from collections.abc import Callable
from time import perf_counter
from typing import Final, cast

from bench.machine import Broken

_TEXT: Final = 0x81  # a whole text message, RFC 6455 5.2
_HEAD: Final = 4  # bytes before a payload of 126 to 65,535 bytes, unmasked
_CLOSE: Final = 8
_PING: Final = 9
_PONG: Final = 10
_READING_FRAMES: Final = -1
_NOT_UPGRADED: Final = -2
_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER: no TIME_WAIT, whose ports would run out
_AT_ONCE: Final = 200  # clients that join at the same time
_PATIENCE: Final = 60.0  # seconds for whatever is awaited


def masked(opcode: int, payload: bytes) -> bytes:
    """A client's frame; the mask is zero, so that the payload stays as it is."""
    length = len(payload)
    size = bytes([0x80 | length]) if length < 126 else b"\xfe" + length.to_bytes(2, "big")
    return bytes([0x80 | opcode]) + size + b"\0\0\0\0" + payload


class Listener(asyncio.Protocol):
    """One client. got: messages; at: when the last byte of the newest came; closed: the code."""

    __slots__ = (
        "_audience",
        "_kept",
        "_left",
        "_part",
        "_transport",
        "at",
        "closed",
        "got",
    )

    def __init__(self, audience: Audience) -> None:
        self._audience = audience
        self._transport: asyncio.Transport | None = None
        self._kept = b""  # of what is no message and not whole yet
        self._part = _NOT_UPGRADED  # bytes of a message that is not whole yet
        self._left = False
        self.at = 0.0
        self.closed: int | None = None
        self.got = 0

    def __repr__(self) -> str:
        return f"<Listener got={self.got} closed={self.closed}>"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        key = base64.b64encode(os.urandom(16))
        self._transport.write(
            b"GET /ws HTTP/1.1\r\nHost: hub\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b\r\n\r\n" % key
        )

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        self._transport = None
        if not self._left:
            self._audience.lost(self)

    def data_received(self, data: bytes) -> None:
        audience = self._audience
        if len(data) == audience.size and not self._part and data.startswith(audience.head):
            messages = 1
        else:
            messages = self._count(data, audience.size)
        if messages:
            self.got += messages
            self.at = perf_counter()
            audience.heard(messages)

    def say(self, payload: bytes) -> None:
        """Send a text message."""
        self._send(1, payload)

    def stop_reading(self) -> None:
        """Read nothing more, as a client does that is stuck."""
        if self._transport is not None:
            self._transport.pause_reading()

    def leave(self) -> None:
        """Reset the connection."""
        self._left = True
        if self._transport is not None:
            end = self._transport.get_extra_info("socket")
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._transport.abort()

    def _send(self, opcode: int, payload: bytes) -> None:
        if self._transport is not None:
            self._transport.write(masked(opcode, payload))

    def _count(self, data: bytes, size: int) -> int:
        """How many messages end in `data`."""
        part = self._part
        if part == _NOT_UPGRADED:
            return self._upgrade(data)
        if part >= 0 and size:
            first = (size - part) % size  # where frames begin if all of them are messages
            columns = (data[first + at :: size] for at in range(_HEAD))
            if all(
                column.count(byte) == len(column)
                for column, byte in zip(columns, self._audience.head, strict=True)
            ):
                messages, part = divmod(part + len(data), size)
                if not part or part >= _HEAD:
                    self._part = part
                    return messages
        return self._walk(data, size)

    def _upgrade(self, data: bytes) -> int:
        self._kept += data
        head, found, rest = self._kept.partition(b"\r\n\r\n")
        if not found:
            return 0
        self._kept, self._part = b"", 0
        if not head.startswith(b"HTTP/1.1 101"):
            self._audience.refused(head)
            return 0
        self._audience.upgraded(self)
        return self._walk(rest, self._audience.size) if rest else 0

    def _walk(self, data: bytes, size: int) -> int:
        """The same, frame by frame."""
        messages = at = 0
        if self._part > 0:
            messages, at = 1, size - self._part
        data = self._kept + data
        while len(data) - at >= 2:
            length, begin = data[at + 1], at + 2
            if length >= 126:
                begin += 2 if length == 126 else 8
                length = int.from_bytes(data[at + 2 : begin], "big")
            end = begin + length
            if len(data) < max(begin, end):
                break
            if data[at] == _TEXT and end - at == size:
                messages += 1
            else:
                messages += self._hear(data[at] & 15, data[begin:end])
            at = end
        self._kept = data[at:]
        self._part = _READING_FRAMES if self._kept else 0
        return messages

    def _hear(self, opcode: int, payload: bytes) -> int:
        """What is no message of the expected length; how many messages it is."""
        if opcode == _PING:
            self._send(_PONG, payload)
        elif opcode == _CLOSE:
            self.closed = int.from_bytes(payload[:2], "big") or 1005
            self._send(_CLOSE, payload[:2])
        elif opcode in (1, 2):
            return self._audience.told(self, payload)
        return 0


class Audience:
    """All clients of one hub. size: bytes of a message's frame, 0: not known; head: how it begins.

    greeting: what a client says once it is upgraded; it has joined when it hears `welcomed`, or at
    once if there is no greeting. last: the newest message of another size. notices: of those with
    this word in them, what to do. closed: how many connections have ended, by close code; deserted:
    all have.
    """

    def __init__(self, port: int, greeting: bytes | None = None, welcomed: bytes = b"") -> None:
        self.listeners: list[Listener] = []
        self.size = 0
        self.head = b""
        self.last = b""
        self.closed: dict[int | None, int] = {}
        self.deserted = asyncio.Event()
        self.joined = 0
        self.on_joined: Callable[[], None] | None = None
        self.notices: dict[bytes, Callable[[Listener, bytes], None]] = {}
        self._port = port
        self._greeting = greeting
        self._welcomed = welcomed
        self._expected = 0
        self._left = 0
        self._done = asyncio.Event()
        self._last_at = 0.0
        self._problem = ""
        self._waiting: dict[Listener, asyncio.Future[None]] = {}

    def __repr__(self) -> str:
        return f"<Audience listeners={len(self.listeners)} left={self._left}>"

    def know(self, size: int) -> None:
        """Messages have so many bytes from now on, 126 at least and 65,535 at most."""
        self.size = _HEAD + size
        self.head = bytes([_TEXT, 126]) + size.to_bytes(2, "big")

    async def join(self, count: int, at_once: int = _AT_ONCE) -> float:
        """Let `count` more clients connect and subscribe; seconds that it took."""
        turns = iter(range(count))
        began = perf_counter()

        async def some() -> None:
            for _ in turns:
                await self.add()

        async with asyncio.timeout(_PATIENCE):
            await asyncio.gather(*(some() for _ in range(min(at_once, count))))
        return perf_counter() - began

    async def add(self) -> Listener:
        """One more, who has subscribed."""
        loop = asyncio.get_running_loop()
        listener = Listener(self)
        self._waiting[listener] = joined = loop.create_future()
        await loop.create_connection(lambda: listener, "127.0.0.1", self._port)
        await joined
        self.listeners.append(listener)
        return listener

    def expect(self, messages: int, listeners: int) -> None:
        """Begin to count: that many are to reach that many clients."""
        self._expected = self._left = messages * listeners
        self._done.clear()

    async def delivered(self) -> float:
        """When the last of what was expected had come. Raises Broken if it does not."""
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._done.wait()
        except TimeoutError:
            raise Broken(f"{self._left} of {self._expected} deliveries never came") from None
        if self._problem:
            raise Broken(self._problem)
        return self._last_at

    def leave(self) -> None:
        """Everybody resets the connection."""
        for listener in self.listeners:
            listener.leave()
        self.listeners.clear()

    # -- what listeners tell ----------------------------------------------------------------

    def heard(self, messages: int) -> None:
        """So many messages have come to one of them."""
        self._left -= messages
        if self._left <= 0:
            self._last_at = perf_counter()
            self._done.set()

    def upgraded(self, listener: Listener) -> None:
        """It may speak."""
        if self._greeting is None:
            self._has_joined(listener)
        else:
            listener.say(self._greeting)

    def told(self, listener: Listener, payload: bytes) -> int:
        """A text of another size: a message, a reply or a notice; how many messages it is."""
        if listener in self._waiting:
            if self._welcomed in payload:
                self._has_joined(listener)
            elif b'"error"' in payload:
                self._refuse(listener, f"a client was told {payload[:300]!r}")
            return 0
        for word, act in self.notices.items():
            if word in payload:
                act(listener, payload)
                return 0
        self.last = payload
        return 1

    def refused(self, head: bytes) -> None:
        """An upgrade was answered by something else."""
        self._fail(f"an upgrade was answered {head[:300]!r}")

    def lost(self, listener: Listener) -> None:
        """The hub has closed a connection, or it broke."""
        self.closed[listener.closed] = self.closed.get(listener.closed, 0) + 1
        if sum(self.closed.values()) == len(self.listeners):
            self.deserted.set()
        self._refuse(listener, f"a client was closed with {listener.closed} before it had joined")

    def _has_joined(self, listener: Listener) -> None:
        self.joined += 1
        self._waiting.pop(listener).set_result(None)
        if self.on_joined is not None:
            self.on_joined()

    def _refuse(self, listener: Listener, problem: str) -> None:
        waiting = self._waiting.pop(listener, None)
        if waiting is not None and not waiting.done():
            waiting.set_exception(Broken(problem))

    def _fail(self, problem: str) -> None:
        self._problem = problem
        for listener in list(self._waiting):
            self._refuse(listener, problem)
        self._done.set()


class Publisher(asyncio.Protocol):
    """One HTTP connection to a hub, one request at a time. answer: the body of the newest answer.

    A hub that closes it after each answer is connected to again before the next.
    """

    __slots__ = ("_answered", "_buffer", "_ends", "_lost", "_port", "_transport", "answer")

    def __init__(self, port: int) -> None:
        self.answer = b""
        self._port = port
        self._buffer = b""
        self._ends = False  # the hub has said that it closes the connection
        self._lost = asyncio.Event()
        self._answered: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport | None = None

    def __repr__(self) -> str:
        return f"<Publisher port={self._port} ends={self._ends}>"

    async def ready(self) -> None:
        """Be connected."""
        if self._ends:
            await self._lost.wait()
        if self._transport is None:
            loop = asyncio.get_running_loop()
            await loop.create_connection(lambda: self, "127.0.0.1", self._port)

    def send(self, request: bytes) -> asyncio.Future[None]:
        """Send a request; done when it is answered. Broken if by anything but a success."""
        assert self._transport is not None, "be ready first"
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answered

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._buffer = b""
        self._ends = False
        self._lost.clear()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._lost.set()
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(Broken(f"publishing ended with {exc}"))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        lower = head.lower()
        length = int(lower.partition(b"content-length: ")[2].split(b"\r\n", 1)[0] or 0)
        if not found or len(body) < length:
            return
        self._buffer, self.answer = b"", body
        self._ends = b"connection: close" in lower
        if self._answered is None or self._answered.done():
            return
        if head.startswith(b"HTTP/1.1 2"):
            self._answered.set_result(None)
        else:
            self._answered.set_exception(Broken(f"publishing was answered {head + body[:300]!r}"))
