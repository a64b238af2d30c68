"""What passes through stays nowhere: large bodies both ways, and clients that do not read."""

import asyncio
import hashlib
import random
import socket
from pathlib import Path

import pytest

from tests.peers.loops import LOOPS
from tests.peers.process import gateway_process
from tests.peers.scripted import upstream
from tests.peers.servers import nginx
from tests.peers.wire import Wire, connect

MIB = 1 << 20
SIZE = 64 * MIB
GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
LOOP = pytest.mark.parametrize("loop", LOOPS)
# The gateway under test has a process and a loop of its own; the peers' loop does not matter.
pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])


async def take(wire: Wire, size: int) -> bytes:
    """The digest of the next `size` bytes, without keeping them."""
    digest = hashlib.sha256()
    while size:
        await wire.until(lambda: bool(wire.unread) or wire.ended, patience=30)
        piece = wire.unread[:size]
        assert piece
        size -= len(piece)
        digest.update(piece)
        del wire.received[: len(wire.received) - len(wire.unread) + len(piece)]
        wire._at = 0  # noqa: SLF001 - what was read is forgotten
    return digest.digest()


def body() -> bytes:
    return random.randbytes(MIB) * 64


@LOOP
@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_a_64_mib_response_passes_in_bounded_memory(loop: str, framing: str) -> None:
    data = body()

    async def script(wire: Wire) -> None:
        while not wire.ended:
            await wire.head()
            if framing == "length":
                wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data))
                wire.send(data)
            else:
                wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                for start in range(0, len(data), MIB):
                    wire.send(b"%x\r\n%b\r\n" % (MIB, data[start : start + MIB]))
                wire.send(b"0\r\n\r\n")

    async with upstream(script) as server, gateway_process(server.url, loop) as process:
        wire = await connect(process.port)
        before = process.peak()
        wire.send(GET)
        answered = await wire.head()
        if "content-length" in answered:
            assert await take(wire, len(data)) == hashlib.sha256(data).digest()
        else:
            digest = hashlib.sha256()
            while payload := await wire.chunk():
                digest.update(payload)
            assert digest.digest() == hashlib.sha256(data).digest()
        assert process.peak() - before < 6 * MIB
        wire.close()


@LOOP
@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_a_64_mib_upload_passes_in_bounded_memory(loop: str, framing: str) -> None:
    data = body()
    seen = asyncio.get_running_loop().create_future()

    async def script(wire: Wire) -> None:
        head = await wire.head()
        wire.transport.pause_reading()
        # The client is far ahead of us by now: what it has sent is held back, not held.
        await client.until(lambda: client.transport.get_write_buffer_size() > 0)
        wire.transport.resume_reading()
        if "content-length" in head:
            seen.set_result(await take(wire, len(data)))
        else:
            digest = hashlib.sha256()
            while payload := await wire.chunk():
                digest.update(payload)
            seen.set_result(digest.digest())
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await wire.rest()

    async with upstream(script) as server, gateway_process(server.url, loop) as process:
        client = await connect(process.port)
        before = process.peak()
        if framing == "length":
            client.send(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(data))
            client.send(data)
        else:
            client.send(b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            for start in range(0, len(data), MIB):
                client.send(b"%x\r\n%b\r\n" % (MIB, data[start : start + MIB]))
            client.send(b"0\r\n\r\n")
        async with asyncio.timeout(40):
            assert await seen == hashlib.sha256(data).digest()
        assert (await client.message()).body == b"ok"
        assert process.peak() - before < 6 * MIB
        client.close()


@LOOP
async def test_300_clients_that_do_not_read_cost_at_most_350_kb_each(
    loop: str, tmp_path: Path
) -> None:
    count = 300
    limits = {"connections": count}
    async with (
        nginx(tmp_path) as url,
        gateway_process(url, loop, limits=limits) as process,
    ):
        (tmp_path / "www" / "large").write_bytes(bytes(17 * MIB))
        request = GET.replace(b"/x", b"/large")
        # Once through, so that what the first requests load is not counted.
        warm = await connect(process.port)
        warm.send(request)
        await warm.head()
        await take(warm, 17 * MIB)
        warm.close()
        before = await process.settled()
        clients = []
        for _ in range(count):
            sock = socket.create_connection(("127.0.0.1", process.port))
            sock.sendall(request)
            clients.append(sock)
        for sock in clients:
            sock.setblocking(False)
            head = await asyncio.get_running_loop().sock_recv(sock, 100)
            assert head.startswith(b"HTTP/1.1 200")
        each = (await process.settled() - before) / count
        for sock in clients:
            sock.close()
        assert each <= 350_000


@LOOP
async def test_a_client_that_sends_requests_and_reads_no_answers_is_held_back(
    loop: str, tmp_path: Path
) -> None:
    async with nginx(tmp_path) as url, gateway_process(url, loop) as process:
        # Each answer is complete before the client has read it: nothing is under way any more.
        (tmp_path / "www" / "x").write_bytes(bytes(100_000))
        warm = await connect(process.port)
        warm.send(GET)
        assert len((await warm.message()).body) == 100_000
        warm.close()
        before = await process.settled()
        wire = await connect(process.port)
        wire.transport.pause_reading()
        wire.send(GET * 200)
        await process.settled()
        wire.send(GET * 1_000_000)
        assert await process.settled() - before < 2 * MIB
        assert wire.transport.get_write_buffer_size() > 10 * MIB
        wire.reset()
