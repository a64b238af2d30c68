"""What TLS costs: an idle connection, one that was used, and large bodies on their way."""

import asyncio
import hashlib
import random
import socket
import ssl
from pathlib import Path

import pytest

from tests.peers.loops import LOOPS
from tests.peers.process import gateway_process
from tests.peers.scripted import answering, upstream
from tests.peers.tls import NAME, Authority, anyone, secure
from tests.peers.wire import Wire

MIB = 1 << 20
GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
LOOP = pytest.mark.parametrize("loop", LOOPS)
# The gateway under test has a process and a loop of its own; the peers' loop does not matter.
pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])


def table(folder: Path) -> dict[str, object]:
    return {"certificates": [Authority(folder).issue(NAME).settings]}


def open_one(port: int, request: bytes = b"") -> ssl.SSLSocket:
    """A connection that was answered once, if there is something to answer."""
    tls = anyone().wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=20))
    ask(tls, request)
    return tls


def ask(tls: ssl.SSLSocket, request: bytes) -> None:
    if request:
        tls.sendall(request)
        received = b""
        while not received.endswith(b"ok"):
            received += tls.recv(4096)


@LOOP
async def test_an_idle_connection_costs_at_most_30_kb_and_60_after_an_upload(
    loop: str, tmp_path: Path
) -> None:
    count = 300
    upload = POST % 65536 + bytes(65536)
    async with (
        answering() as server,
        gateway_process(server.url, loop, tls=table(tmp_path)) as process,
    ):

        def open_all() -> list[ssl.SSLSocket]:
            return [open_one(process.port) for _ in range(count)]

        # Once through, so that what the first handshakes and requests load is not counted.
        for _ in range(10):
            (await asyncio.to_thread(open_one, process.port, upload)).close()
        before = await process.settled()
        clients = await asyncio.to_thread(open_all)
        idle = (await process.settled() - before) / count
        for client in clients:
            await asyncio.to_thread(ask, client, upload)
        used = (await process.settled() - before) / count
        for client in clients:
            client.close()
        assert idle <= 30_000
        assert used <= 60_000


@LOOP
async def test_a_64_mib_response_to_a_slow_reader_passes_in_bounded_memory(
    loop: str, tmp_path: Path
) -> None:
    data = random.randbytes(MIB) * 64

    async def script(wire: Wire) -> None:
        await wire.head()
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data))
        wire.send(data)
        await wire.rest()

    def read(port: int) -> bytes:
        digest = hashlib.sha256()
        with open_one(port) as tls:
            tls.sendall(GET)
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += tls.recv(1)
            left = len(data)
            while left:
                piece = tls.recv(65536)
                assert piece
                left -= len(piece)
                digest.update(piece)
        return digest.digest()

    async with (
        upstream(script) as server,
        gateway_process(server.url, loop, tls=table(tmp_path)) as process,
    ):
        await asyncio.to_thread(lambda: open_one(process.port).close())
        before = process.peak()
        assert await asyncio.to_thread(read, process.port) == hashlib.sha256(data).digest()
        assert process.peak() - before < 8 * MIB


@LOOP
async def test_a_64_mib_upload_to_a_slow_upstream_passes_in_bounded_memory(
    loop: str, tmp_path: Path
) -> None:
    data = random.randbytes(MIB) * 64
    seen = asyncio.get_running_loop().create_future()

    async def script(wire: Wire) -> None:
        await wire.head()
        wire.transport.pause_reading()
        await asyncio.sleep(0.3)  # the client is far ahead by now
        wire.transport.resume_reading()
        await wire.until(lambda: len(wire.unread) >= len(data), patience=40)
        seen.set_result(hashlib.sha256(wire.unread).digest())
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await wire.rest()

    async with (
        upstream(script) as server,
        gateway_process(server.url, loop, tls=table(tmp_path)) as process,
    ):
        wire = await secure(process.port)
        before = process.peak()
        wire.send(POST % len(data) + data)
        async with asyncio.timeout(50):
            assert await seen == hashlib.sha256(data).digest()
        assert (await wire.message()).body == b"ok"
        assert process.peak() - before < 8 * MIB
        wire.close()
        await wire.finish()
