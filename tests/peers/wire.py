"""A raw connection: sends exact bytes, records every byte it saw, reads when it is told to."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

PATIENCE = 5.0  # seconds until a test that waits for bytes has failed


@dataclass(frozen=True)
class Message:
    """A message as it came: its start line, its fields in order, its decoded body."""

    start: bytes
    fields: tuple[tuple[str, bytes], ...]
    body: bytes = b""
    trailers: bytes = b""

    @property
    def status(self) -> int:
        return int(self.start.split(b" ")[1])

    def __getitem__(self, name: str) -> bytes:
        values = self.all(name)
        assert len(values) == 1, f"{name}: {values}"
        return values[0]

    def __contains__(self, name: str) -> bool:
        return bool(self.all(name))

    def all(self, name: str) -> list[bytes]:
        return [value for key, value in self.fields if key == name.lower()]


class Wire(asyncio.Protocol):
    """One end of a connection; see the module. `received` holds all bytes since the start."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._changed = asyncio.Event()
        self._at = 0
        self._full = False
        self.finished = False  # nothing more will be sent: an EOF from the peer ends it
        self.received = bytearray()
        self.ended = False  # the peer has sent FIN, or the connection is gone
        self.lost = False
        self.error: Exception | None = None

    # -- the protocol -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.received += data
        self._changed.set()

    def eof_received(self) -> bool:
        self.ended = True
        self._changed.set()
        return not self.finished

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = self.lost = True
        self.error = exc
        self._changed.set()

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        self._changed.set()

    @property
    def transport(self) -> asyncio.Transport:
        assert self._transport is not None
        return self._transport

    # -- sending ----------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        if not self.lost:
            self.transport.write(data)

    async def flush(self) -> None:
        """Wait until the kernel has taken most of what was sent, or the connection is gone."""
        await self.until(lambda: not self._full or self.lost)

    def send_eof(self) -> None:
        """Half-close; when the peer has done so too, close."""
        self.finished = True
        if self.ended:
            self.transport.close()
        elif not self.lost:
            self.transport.write_eof()

    def send_fin(self) -> None:
        """Send FIN at once; a transport does it in a later turn of the loop."""
        descriptor = self.transport.get_extra_info("socket").fileno()
        with socket.socket(fileno=os.dup(descriptor)) as again:
            again.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.transport.close()

    def reset(self) -> None:
        """End the connection with RST."""
        if self.lost:
            return
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    # -- reading ----------------------------------------------------------------------------

    async def until(self, condition: Callable[[], bool], patience: float = PATIENCE) -> None:
        """Wait for a condition that depends on this connection."""
        try:
            async with asyncio.timeout(patience):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(
                f"still waiting; so far: {bytes(self.received[-2000:])!r}"
            ) from None

    async def read(self, size: int) -> bytes:
        """Exactly `size` bytes, or fewer when the peer ended before."""
        await self.until(lambda: len(self.received) - self._at >= size or self.ended)
        data = bytes(self.received[self._at : self._at + size])
        self._at += len(data)
        return data

    async def read_to(self, marker: bytes) -> bytes:
        """Bytes up to and with `marker`. Raises EOFError when the peer ends before it."""
        await self.until(lambda: self.received.find(marker, self._at) >= 0 or self.ended)
        end = self.received.find(marker, self._at)
        if end < 0:
            raise EOFError(bytes(self.received[self._at :]))
        data = bytes(self.received[self._at : end + len(marker)])
        self._at = end + len(marker)
        return data

    async def rest(self) -> bytes:
        """Everything until the peer ends."""
        await self.until(lambda: self.ended)
        data = bytes(self.received[self._at :])
        self._at = len(self.received)
        return data

    async def finish(self) -> None:
        """Wait until the connection is gone."""
        await self.until(lambda: self.lost)

    async def head(self) -> Message:
        """A message's head; its body is still to be read."""
        start, *lines = (await self.read_to(b"\r\n\r\n"))[:-4].split(b"\r\n")
        fields = []
        for line in lines:
            name, colon, value = line.partition(b": ")
            assert colon, line
            fields.append((name.decode().lower(), value))
        return Message(start, tuple(fields))

    async def message(self, *, to: str = "GET") -> Message:
        """A whole message; of an answer `to` is the method it answers."""
        head = await self.head()
        is_response = head.start.startswith(b"HTTP/")
        trailers = b""
        if is_response and (to == "HEAD" or head.status < 200 or head.status in (204, 304)):
            body = b""
        elif "transfer-encoding" in head:
            assert head["transfer-encoding"] == b"chunked"
            assert "content-length" not in head
            body, trailers = await self.chunked()
        elif "content-length" in head:
            size = int(head["content-length"])
            body = await self.read(size)
            if len(body) < size:
                raise EOFError(body)
        else:
            body = await self.rest() if is_response else b""
        return Message(head.start, head.fields, body, trailers)

    async def chunk(self) -> bytes:
        """One chunk's payload; empty for the last chunk, whose trailers are still to be read."""
        size = int((await self.read_to(b"\r\n"))[:-2], 16)
        payload = await self.read(size)
        if len(payload) < size:
            raise EOFError(payload)
        if size:
            assert await self.read_to(b"\r\n") == b"\r\n"
        return payload

    async def chunked(self) -> tuple[bytes, bytes]:
        """A chunked body and its trailer lines."""
        body = b""
        while payload := await self.chunk():
            body += payload
        trailers = b""
        while (line := await self.read_to(b"\r\n")) != b"\r\n":
            trailers += line
        return body, trailers

    @property
    def unread(self) -> bytes:
        """What has arrived and was not read yet."""
        return bytes(self.received[self._at :])

    @property
    def was_reset(self) -> bool:
        return isinstance(self.error, ConnectionError)


async def connect(port: int, host: str = "127.0.0.1") -> Wire:
    """A raw client."""
    _, wire = await asyncio.get_running_loop().create_connection(Wire, host, port)
    return wire
