"""WebSockets and the raw tunnel below them: both ways, half-close, idle limit, ends."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from websockets.asyncio.client import connect as websocket
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.peers.gateways import config, eventually, gateway, pool_of, steady
from tests.peers.scripted import answer, answering, upstream
from tests.peers.wire import Wire, connect

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SWITCHING = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


@contextlib.asynccontextmanager
async def echo_server() -> AsyncIterator[str]:
    """A WebSocket server of the websockets library; closes with 4001 when told `bye`."""

    async def echo(connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for message in connection:
                if message == "bye":
                    await connection.close(4001, "told so")
                    return
                await connection.send(message)

    async with serve(echo, "127.0.0.1", 0, max_size=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"http://127.0.0.1:{port}"


async def test_websocket_messages_go_both_ways_in_order() -> None:
    async with echo_server() as url, gateway(url) as proxy:
        async with websocket(f"ws://{proxy.address}/ws", max_size=None, proxy=None) as client:
            for message in ("hello", b"bytes", "", "ä" * 10_000, b"x" * 2_000_000):
                await client.send(message)
                assert await client.recv() == message
            for number in range(200):
                await client.send(str(number))
            assert [await client.recv() for _ in range(200)] == [str(n) for n in range(200)]
        await eventually(lambda: pool_of(proxy).open == 0)


@pytest.mark.parametrize("by", ["client", "server"])
async def test_close_codes_reach_the_other_side(by: str) -> None:
    async with echo_server() as url, gateway(url) as proxy:
        client = await websocket(f"ws://{proxy.address}/ws", proxy=None)
        if by == "server":
            await client.send("bye")
            with pytest.raises(ConnectionClosed):
                await client.recv()
            assert (client.close_code, client.close_reason) == (4001, "told so")
        else:
            await client.close(4002, "enough")
            assert client.close_code == 4002, "the server has echoed the code"
        await client.wait_closed()
        await eventually(lambda: len(proxy.clients) == 0 and pool_of(proxy).open == 0)


async def test_a_refused_websocket_gets_the_upstreams_answer() -> None:
    async with answering(answer(b"no", b"403 Forbidden")) as server, gateway(server.url) as proxy:
        with pytest.raises(InvalidStatus) as refused:
            await websocket(f"ws://{proxy.address}/ws", proxy=None)
        assert refused.value.response.status_code == 403


async def test_many_websockets_at_once_do_not_mix() -> None:
    async with echo_server() as url, gateway(url) as proxy:

        async def talk(number: int) -> None:
            async with websocket(f"ws://{proxy.address}/ws", proxy=None) as client:
                for turn in range(20):
                    await client.send(f"{number} {turn}")
                    assert await client.recv() == f"{number} {turn}"

        await asyncio.gather(*(talk(number) for number in range(30)))
        await eventually(lambda: pool_of(proxy).open == 0)
        assert pool_of(proxy).endpoint.in_flight == 0


async def switched(wire: Wire) -> None:
    """Read the upgrade and accept it."""
    request = await wire.head()
    assert request["upgrade"] == b"websocket"
    assert request["connection"] == b"Upgrade"
    assert request["sec-websocket-key"] == b"dGhlIHNhbXBsZSBub25jZQ=="
    wire.send(SWITCHING)


async def test_8_mb_each_way_with_half_closes_arrive_whole_and_in_order() -> None:
    there, back = random.randbytes(8_000_000), random.randbytes(8_000_000)
    seen = b""

    async def script(wire: Wire) -> None:
        nonlocal seen
        await switched(wire)
        seen = await wire.rest()  # until the client's FIN; only then comes the way back
        wire.send(back)
        wire.send_eof()

    async with upstream(script) as server, gateway(server.url) as proxy:
        client = await connect(proxy.address.port)
        client.send(UPGRADE)
        answered = await client.head()
        assert answered.status == 101
        assert answered["upgrade"] == b"websocket"
        assert answered["connection"] == b"Upgrade"
        client.send(there)
        client.send_eof()
        assert await client.rest() == back
        assert seen == there
        await client.finish()
        await eventually(lambda: pool_of(proxy).open == server.open == len(proxy.clients) == 0)


async def test_the_upstream_may_half_close_first() -> None:
    there, back = random.randbytes(8_000_000), random.randbytes(8_000_000)
    seen = asyncio.get_running_loop().create_future()

    async def script(wire: Wire) -> None:
        await switched(wire)
        wire.send(back)
        wire.send_eof()
        seen.set_result(await wire.rest())

    async with upstream(script) as server, gateway(server.url) as proxy:
        client = await connect(proxy.address.port)
        client.send(UPGRADE)
        await client.head()
        assert await client.rest() == back
        client.send(there)
        client.send_eof()
        assert await seen == there
        await eventually(lambda: pool_of(proxy).open == server.open == len(proxy.clients) == 0)


async def test_both_ways_at_once_with_slow_readers() -> None:
    there, back = random.randbytes(8_000_000), random.randbytes(8_000_000)

    async def slowly(wire: Wire, size: int) -> bytes:
        while len(wire.unread) < size:
            wire.transport.pause_reading()
            await asyncio.sleep(0.001)
            wire.transport.resume_reading()
            await asyncio.sleep(0.001)
        return await wire.read(size)

    async def script(wire: Wire) -> None:
        await switched(wire)
        wire.send(back)
        seen.set_result(await slowly(wire, len(there)))
        await wire.rest()

    seen = asyncio.get_running_loop().create_future()
    async with upstream(script) as server, gateway(server.url) as proxy:
        client = await connect(proxy.address.port)
        client.send(UPGRADE)
        await client.head()
        client.send(there)
        assert await slowly(client, len(back)) == back
        assert await seen == there
        client.close()
        await eventually(lambda: pool_of(proxy).open == server.open == len(proxy.clients) == 0)


async def test_bytes_with_the_101_and_before_it_are_tunnelled() -> None:
    async def script(wire: Wire) -> None:
        request = await wire.head()
        assert request.start.startswith(b"GET /ws")
        assert wire.unread == b"", "nothing goes through before the 101"
        wire.send(SWITCHING + b"late")
        assert await wire.read(5) == b"early"
        await wire.rest()

    async with upstream(script) as server, gateway(server.url) as proxy:
        client = await connect(proxy.address.port)
        client.send(UPGRADE + b"early")
        await client.head()
        assert await client.read(4) == b"late"
        client.close()
        await eventually(lambda: pool_of(proxy).open == server.open == 0)


async def test_a_client_that_half_closed_before_the_101_half_closes_the_tunnel() -> None:
    gate = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.head()
        await gate.wait()
        wire.send(SWITCHING + b"late")
        assert await wire.rest() == b"early"
        wire.send(b"last")
        wire.send_eof()

    async with (
        upstream(script) as server,
        gateway(server.url, client={"half_close": True}) as proxy,
    ):
        client = await connect(proxy.address.port)
        client.send(UPGRADE + b"early")
        client.send_eof()
        await server.accepted()
        gate.set()
        await client.head()
        assert await client.rest() == b"latelast"
        await eventually(lambda: pool_of(proxy).open == server.open == len(proxy.clients) == 0)


async def test_an_idle_tunnel_is_ended_and_a_busy_one_is_not() -> None:
    async def script(wire: Wire) -> None:
        await switched(wire)
        while not wire.ended:
            wire.send(await wire.read(1))

    async with (
        upstream(script) as server,
        gateway(server.url, client={"tunnel": 0.6, "idle": 0.2, "write": 0.2}) as proxy,
    ):
        idle, busy = [await connect(proxy.address.port) for _ in range(2)]
        for client in (idle, busy):
            client.send(UPGRADE)
            await client.head()

        async def talk() -> None:
            while not idle.ended:
                busy.send(b"x")
                assert await busy.read(1) == b"x"
                await asyncio.sleep(0.01)

        await talk()
        assert not busy.ended
        idle.close()
        busy.close()
        await eventually(lambda: pool_of(proxy).open == server.open == len(proxy.clients) == 0)


@pytest.mark.parametrize("side", ["client", "upstream"])
@pytest.mark.parametrize("how", ["close", "reset"])
async def test_when_one_side_goes_the_other_is_closed(side: str, how: str) -> None:
    async def script(wire: Wire) -> None:
        await switched(wire)
        wire.finished = True
        await wire.rest()

    async with upstream(script) as server, gateway(server.url) as proxy:
        client = await connect(proxy.address.port)
        client.send(UPGRADE)
        await client.head()
        client.finished = True
        leaving, staying = (
            (client, server.wires[0]) if side == "client" else (server.wires[0], client)
        )
        leaving.reset() if how == "reset" else leaving.close()
        await staying.finish()
        await eventually(lambda: pool_of(proxy).open == server.open == len(proxy.clients) == 0)


async def test_a_side_that_does_not_read_holds_the_other() -> None:
    async def script(wire: Wire) -> None:
        await switched(wire)
        wire.transport.pause_reading()
        await wire.until(lambda: wire.lost)

    async with upstream(script) as server, gateway(server.url) as proxy:
        client = await connect(proxy.address.port)
        client.send(UPGRADE)
        await client.head()
        client.send(b"x" * 50_000_000)
        await eventually(lambda: client.transport.get_write_buffer_size() > 0)
        left = await steady(client.transport.get_write_buffer_size)
        assert left > 20_000_000, "the kernels hold the rest, the gateway next to nothing"
        client.reset()
        server.wires[0].transport.resume_reading()
        await eventually(lambda: pool_of(proxy).open == len(proxy.clients) == 0)


async def test_early_bytes_that_the_upstream_does_not_read_hold_the_client(tmp_path: Path) -> None:
    gate = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.head()
        await gate.wait()
        wire.transport.pause_reading()
        wire.send(SWITCHING)
        await wire.until(lambda: wire.lost, patience=30)

    path = str(tmp_path / "upstream.sock")
    async with upstream(script, path=path) as server, gateway(server.url) as proxy:
        client = await connect(proxy.address.port)
        client.send(UPGRADE + b"x" * 600_000)
        await server.accepted()
        await asyncio.sleep(0.1)
        gate.set()
        await client.head()
        client.send(b"x" * 50_000_000)
        left = await steady(client.transport.get_write_buffer_size)
        assert left > 20_000_000, "the kernels hold the rest, the gateway next to nothing"
        client.reset()
        server.wires[0].transport.resume_reading()
        await eventually(lambda: pool_of(proxy).open == len(proxy.clients) == 0)


async def test_stopping_the_gateway_ends_tunnels() -> None:
    async with echo_server() as url:
        async with gateway(url) as proxy:
            client = await websocket(f"ws://{proxy.address}/ws", proxy=None)
            await client.send("hello")
            await client.recv()
        with pytest.raises(ConnectionClosed):
            await client.recv()


async def test_a_reload_keeps_tunnels() -> None:
    async with echo_server() as url, answering() as other, gateway(url) as proxy:
        async with websocket(f"ws://{proxy.address}/ws", proxy=None) as client:
            await proxy.reload(proxy.config)
            await client.send("still here")
            assert await client.recv() == "still here"
            await proxy.reload(config(other.url))
            await client.send("still here")
            assert await client.recv() == "still here"
        wire = await connect(proxy.address.port)
        wire.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await wire.message()).body == b"ok"
        wire.close()
