"""Our TLS and the event loop's own, told to do the same: what both do is the same.

Where ours does more, it has tests of its own below.
"""

import asyncio
import contextlib
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from time import monotonic

import pytest

from tests.peers.gateways import eventually
from tests.peers.tls import NAME, Authority, HalfClosing, secure
from tests.peers.wire import Wire, connect
from uaitools.proxy.clients import Clients
from uaitools.proxy.config import ClientLimits
from uaitools.proxy.downstream import ClientPolicy
from uaitools.proxy.sweep import Sweep
from uaitools.proxy.tls.server import TlsListener
from uaitools.tasks import spawn

pytestmark = pytest.mark.usefixtures("leaving_nothing")
EVERY = pytest.mark.parametrize("make", ["ours", "the loop's"])


class Server:
    """A TLS server of either make, whose connections are Wires."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.context = context
        self.wires: list[Wire] = []
        self.finished = False  # connections end when the client's end
        self.port = 0
        clients = Clients(ClientPolicy(**ClientLimits().model_dump()))
        self.sweep = Sweep()
        self.listener = TlsListener(lambda _name: context, self.wire, clients, self.sweep, 10.0)

    def wire(self) -> Wire:
        wire = Wire()
        wire.finished = self.finished
        self.wires.append(wire)
        return wire

    async def accepted(self) -> Wire:
        await eventually(lambda: self.wires and self.wires[0]._transport)  # noqa: SLF001
        return self.wires[0]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@contextlib.asynccontextmanager
async def serving(authority: Authority, make: str) -> AsyncIterator[Server]:
    server = Server(authority.server(authority.issue(NAME)))
    loop = asyncio.get_running_loop()
    accept: Callable[[], asyncio.Protocol] = server.wire
    context: ssl.SSLContext | None = server.context
    if make == "ours":
        accept, context = server.listener.accept, None
    listener = await loop.create_server(accept, "127.0.0.1", 0, ssl=context)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for wire in server.wires:
            if not wire.lost:
                wire.transport.abort()
            await wire.finish()


@contextlib.asynccontextmanager
async def pair(authority: Authority, make: str) -> AsyncIterator[tuple[Wire, Wire]]:
    """A client of the loop's own make, and the server's end of its connection."""
    async with serving(authority, make) as server:
        client = await secure(server.port, authority.client())
        yield client, await server.accepted()
        if not client.lost:
            client.transport.abort()
        await client.finish()


@EVERY
async def test_bytes_go_both_ways_in_order(authority: Authority, make: str) -> None:
    data = bytes(range(256)) * 20_000
    async with pair(authority, make) as (client, server):
        client.send(data)
        assert await server.read(len(data)) == data
        for start in range(0, len(data), 100_000):
            server.send(data[start : start + 100_000])
        assert await client.read(len(data)) == data


@EVERY
async def test_a_close_comes_after_all_that_was_written(authority: Authority, make: str) -> None:
    data = bytes(8_000_000)
    async with pair(authority, make) as (client, server):
        server.send(data)
        server.close()
        assert len(await client.rest()) == len(data)
        await client.finish()
        assert client.error is None
        await server.finish()
        assert server.error is None


@EVERY
async def test_a_peers_close_is_an_end_and_then_a_loss(authority: Authority, make: str) -> None:
    async with pair(authority, make) as (client, server):
        server.finished = True
        client.send(b"last")
        client.close()
        assert await server.rest() == b"last"
        await server.finish()
        assert server.error is None


@EVERY
async def test_an_abort_is_no_clean_end(authority: Authority, make: str) -> None:
    async with pair(authority, make) as (client, server):
        server.send(b"half")
        assert await client.read(4) == b"half"
        server.reset()
        await client.finish()
        assert isinstance(client.error, OSError)
        await server.finish()


@EVERY
async def test_a_reset_by_the_peer_is_a_loss(authority: Authority, make: str) -> None:
    async with pair(authority, make) as (client, server):
        client.reset()
        await server.finish()
        assert isinstance(server.error, OSError)


@EVERY
async def test_nothing_is_read_while_reading_is_paused(authority: Authority, make: str) -> None:
    async with pair(authority, make) as (client, server):
        server.transport.pause_reading()
        assert not server.transport.is_reading()
        client.send(b"x" * 100_000)
        await asyncio.sleep(0.05)
        assert server.received == b""
        server.transport.resume_reading()
        assert await server.read(100_000) == b"x" * 100_000


@EVERY
async def test_a_peer_that_does_not_read_asks_for_a_pause(authority: Authority, make: str) -> None:
    async with serving(authority, make) as running:
        # A plain client that shakes hands and then reads nothing.
        raw = await connect(running.port)
        client = HalfClosing(raw, authority.client())
        await client.handshake()
        server = await running.accepted()
        raw.transport.pause_reading()
        for _ in range(200):
            if server._full:  # noqa: SLF001 - what pause_writing was told
                break
            server.send(bytes(100_000))
            await asyncio.sleep(0)
        assert server._full  # noqa: SLF001
        assert server.transport.get_write_buffer_size() > 0
        raw.transport.resume_reading()
        await server.flush()
        raw.reset()
        await server.finish()


@EVERY
async def test_writing_after_the_end_is_harmless(authority: Authority, make: str) -> None:
    async with pair(authority, make) as (client, server):
        transport = server.transport
        client.reset()
        await server.finish()
        transport.write(b"nobody")
        transport.close()
        transport.abort()
        assert transport.is_closing()


@EVERY
async def test_a_protocol_can_be_swapped(authority: Authority, make: str) -> None:
    async with pair(authority, make) as (client, server):
        other = Wire()
        other.connection_made(server.transport)
        server.transport.set_protocol(other)
        assert server.transport.get_protocol() is other
        client.send(b"for the other")
        assert await other.read(13) == b"for the other"
        client.close()
        await other.rest()
        other.close()
        await other.finish()
        server.connection_lost(None)


# -- what the loop's own cannot do ----------------------------------------------------------


async def test_a_cut_is_told_from_an_end(authority: Authority) -> None:
    async with pair(authority, "ours") as (client, server):
        client.send(b"half")
        await server.read(4)
        client.send_fin()
        await server.finish()
        assert isinstance(server.error, ConnectionAbortedError)
        assert "without close_notify" in str(server.error)


async def test_each_side_ends_on_its_own(authority: Authority) -> None:
    async with serving(authority, "ours") as running:
        raw = await connect(running.port)
        client = HalfClosing(raw, authority.client())
        await client.handshake()
        server = await running.accepted()
        client.send(b"question")
        client.send_end()
        assert await server.rest() == b"question"
        assert not server.lost
        server.send(b"answer")
        server.send_eof()
        assert await client.rest() == b"answer"
        raw.close()
        await server.finish()


async def test_we_may_end_first_and_read_on(authority: Authority) -> None:
    async with serving(authority, "ours") as running:
        raw = await connect(running.port)
        client = HalfClosing(raw, authority.client())
        await client.handshake()
        server = await running.accepted()
        client.send(b"before")
        assert await server.read(6) == b"before"
        assert server.transport.can_write_eof()
        server.transport.write_eof()
        server.transport.write(b"nothing comes after the end")
        assert await client.rest() == b""
        client.send(b"after")
        assert await server.read(5) == b"after"
        client.send_end()
        await server.rest()
        server.close()
        await server.finish()
        raw.close()


async def test_what_comes_before_anybody_reads_is_kept(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last flight of a handshake may bring data, and the protocol may not want it yet."""

    class Waiting(Wire):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            self.transport.pause_reading()

    async with serving(authority, "ours") as running:
        wire = Waiting()
        running.listener._above = lambda: wire  # noqa: SLF001 - another protocol
        raw = await connect(running.port)
        client = HalfClosing(raw, authority.client())
        together: list[bytes] = []
        send = raw.send
        monkeypatch.setattr(raw, "send", together.append)
        shaking = spawn(client.handshake(), name="handshake")
        await asyncio.sleep(0)
        send(b"".join(together))  # the hello
        together.clear()
        await shaking
        client.send(b"early")
        client.send_end()
        send(b"".join(together))
        running.wires.append(wire)
        await eventually(lambda: wire._transport)  # noqa: SLF001
        await asyncio.sleep(0.05)
        assert wire.received == b""
        assert not wire.ended
        wire.transport.resume_reading()
        assert await wire.rest() == b"early"
        wire.close()
        await wire.finish()
        raw.close()


async def test_a_handshake_that_is_not_over_in_time_is_ended_by_the_sweep(
    authority: Authority,
) -> None:
    async with serving(authority, "ours") as running:
        raw = await connect(running.port)
        await eventually(lambda: running.sweep.connections)
        running.sweep.run_once(monotonic() + 9.5)
        assert running.listener.failures == {}
        running.sweep.run_once(monotonic() + 10.5)
        await raw.finish()
        assert raw.was_reset
        assert running.listener.failures == {"timeout": 1}
        await eventually(lambda: not running.sweep.connections)


def s_client(port: int, version: str, lines: list[bytes]) -> bytes:
    """What OpenSSL's own client has to say; `K` and `R` at the start of a line are orders."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", version, "-no_ign_eof"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            for line in (*lines, b"Q\n"):
                time.sleep(0.3)  # it takes what it reads at once for one order
                process.stdin.write(line)
                process.stdin.flush()
        try:
            return process.communicate(timeout=10)[0]
        finally:
            process.kill()


async def test_keys_can_be_updated_under_way(authority: Authority) -> None:
    async with serving(authority, "ours") as running:
        running.finished = True
        lines = [b"one\n", b"K\n", b"two\n", b"k\n", b"three\n"]
        await asyncio.to_thread(s_client, running.port, "-tls1_3", lines)
        assert bytes(running.wires[0].received) == b"one\ntwo\nthree\n"


async def test_nobody_may_renegotiate(authority: Authority) -> None:
    from uaitools.proxy.config import ListenerTls  # noqa: PLC0415
    from uaitools.proxy.tls.certificates import Certificates  # noqa: PLC0415

    tls = ListenerTls.model_validate({"certificates": [authority.issue(NAME).settings]})
    async with serving(authority, "ours") as running:
        running.finished = True
        running.listener._choose = Certificates(tls).choose  # noqa: SLF001
        lines = [b"one\n", b"R\n", b"two\n"]
        output = await asyncio.to_thread(s_client, running.port, "-tls1_2", lines)
        assert b"no renegotiation" in output
        assert bytes(running.wires[0].received).startswith(b"one\n")
        assert b"two\n" not in running.wires[0].received
