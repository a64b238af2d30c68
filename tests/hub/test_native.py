"""Sockets on a bare transport that was aiohttp's, against clients of other people."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator

import aiohttp
import pytest
import websockets
from aiohttp import web

from tests.peers.gateways import eventually
from uaitools.errors import ServiceError
from uaitools.hub.closing import GOING_AWAY
from uaitools.hub.frames import BINARY, TEXT, encode, encode_close
from uaitools.hub.handshake import accept
from uaitools.hub.sockets.handover import hand_over, unsupported
from uaitools.hub.sockets.native import AT_ONCE, NativeSocket
from uaitools.hub.sockets.port import HIGH_WATER
from uaitools.tasks import spawn

LARGEST = 100_000
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + KEY.encode() + b"\r\n\r\n"
)


class Echo:
    """A receiver that says what it hears."""

    def __init__(self) -> None:
        self.socket = NativeSocket(self, LARGEST)
        self.ended = False
        self.resumes = 0

    def opened(self) -> None:
        pass

    def text(self, text: str) -> None:
        self.socket.write(encode(TEXT, text.encode()))

    def binary(self, data: bytes) -> None:
        self.socket.write(encode(BINARY, data))

    def resumed(self) -> None:
        self.resumes += 1

    def lost(self) -> None:
        self.ended = True


class Server:
    """An aiohttp server whose WebSockets are ours."""

    def __init__(self) -> None:
        self.echoes: list[Echo] = []
        self.before = asyncio.Event()
        self.before.set()
        self.port = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        accepted = accept(request.headers)
        await self.before.wait()
        echo = Echo()
        self.echoes.append(echo)
        return hand_over(request, accepted, echo.socket)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    app = web.Application()
    app.router.add_get("/ws", made.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.port = runner.addresses[0][1]
    yield made
    for echo in made.echoes:
        echo.socket.cut_off()
    await eventually(lambda: all(echo.ended for echo in made.echoes))
    await runner.cleanup()


def masked(opcode: int, payload: bytes) -> bytes:
    """A client's frame; of a mask of zeros the payload can be read."""
    return bytes((0x80 | opcode, 0x80 | len(payload))) + bytes(4) + payload


@contextlib.asynccontextmanager
async def raw(
    server: Server, first: bytes = UPGRADE
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(first)
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def test_this_aiohttp_can_hand_a_connection_over() -> None:
    assert unsupported() == ""


async def test_websockets_of_others_are_understood(server: Server) -> None:
    long = os.urandom(LARGEST)
    async with websockets.connect(server.url, max_size=None) as client:
        for message in ("hi", "", "ü" * 1000, b"", b"\0" * 126, long):
            await client.send(message)
            assert await client.recv() == message
        await client.send(["frag", "men", "ted"])
        assert await client.recv() == "fragmented"
        await (await client.ping())
    assert client.close_code == 1000
    async with aiohttp.ClientSession() as session, session.ws_connect(server.url) as other:
        await other.send_str("hi")
        assert await other.receive_str() == "hi"
    assert other.close_code == 1000
    await eventually(lambda: all(echo.ended for echo in server.echoes))


async def test_what_comes_with_the_upgrade_or_while_it_is_answered_is_not_lost(
    server: Server,
) -> None:
    server.before.clear()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(UPGRADE + masked(TEXT, b"with it"))
    await asyncio.sleep(0.05)
    for _ in range(2000):  # more than aiohttp reads by itself
        writer.write(masked(TEXT, b"x" * 100))
    await asyncio.sleep(0.05)
    server.before.set()
    await reader.readuntil(b"\r\n\r\n")
    assert await reader.readexactly(9) == encode(TEXT, b"with it")
    expected = encode(TEXT, b"x" * 100) * 2000
    assert await reader.readexactly(len(expected)) == expected
    writer.close()
    await writer.wait_closed()


async def test_aiohttp_keeps_nothing_of_a_connection_that_it_gave_up(server: Server) -> None:
    before = len(asyncio.all_tasks())
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(5):
            await stack.enter_async_context(raw(server))
        await eventually(lambda: len(asyncio.all_tasks()) == before)


async def test_who_breaks_a_rule_is_told_which_and_disconnected(server: Server) -> None:
    async with raw(server, UPGRADE + encode(TEXT, b"not masked")) as (reader, _):
        frame = await asyncio.wait_for(reader.read(), 5)
        assert frame[0] == 0x88
        assert int.from_bytes(frame[2:4], "big") == 1002
        assert b"masked" in frame


async def test_an_end_is_said_and_who_does_not_answer_it_is_cut_off(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uaitools.hub.sockets.native.PATIENCE", 0.2)
    async with raw(server) as (reader, _):
        server.echoes[0].socket.end(GOING_AWAY)
        server.echoes[0].socket.end(GOING_AWAY)
        server.echoes[0].socket.write(encode(TEXT, b"too late"))
        frame = await reader.readexactly(2)
        assert (await reader.readexactly(frame[1]))[:2] == (1001).to_bytes(2, "big")
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), 5) == b""
        await eventually(lambda: server.echoes[0].ended)


async def test_who_does_not_read_pauses_the_socket_until_he_does(server: Server) -> None:
    async with raw(server) as (reader, _):
        echo = server.echoes[0]
        frame = encode(BINARY, bytes(HIGH_WATER))
        count = 0
        while not echo.socket.paused:
            echo.socket.write(frame)
            count += 1
            await asyncio.sleep(0)
        assert echo.socket.kept > HIGH_WATER
        assert await reader.readexactly(count * len(frame)) == frame * count
        await eventually(lambda: not echo.socket.paused)
        assert echo.resumes == 1


HEADERS = {
    "Upgrade": "websocket",
    "Connection": "keep-alive, Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
}


def test_an_upgrade_is_accepted_as_the_standard_says() -> None:
    assert accept(HEADERS) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455 1.3


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("Upgrade", "h2c", 426),
        ("Connection", "keep-alive", 426),
        ("Sec-WebSocket-Version", "8", 426),
        ("Content-Length", "5", 400),
        ("Transfer-Encoding", "chunked", 400),
        ("Sec-WebSocket-Key", "", 400),
        ("Sec-WebSocket-Key", "c2hvcnQ=", 400),
        ("Sec-WebSocket-Key", "no base64 at all", 400),
    ],
)
def test_what_is_no_upgrade_is_refused(field: str, value: str, code: int) -> None:
    with pytest.raises(ServiceError) as caught:
        accept({**HEADERS, field: value})

    assert caught.value.code == code


async def test_a_flood_of_pings_is_answered_in_order_a_part_each_turn(server: Server) -> None:
    pings = [number.to_bytes(4, "big") for number in range(9_000)]
    async with raw(server) as (reader, writer):
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        writer.write(b"".join(masked(0x9, ping) for ping in pings))
        counting = spawn(count(), name="count turns")
        got = await asyncio.wait_for(reader.readexactly(6 * len(pings)), 10)
        counting.cancel()
        assert got == b"".join(encode(0xA, ping) for ping in pings)
        assert turns >= 9_000 * 10 // AT_ONCE
        writer.write(masked(0x1, b"still here"))
        assert await asyncio.wait_for(reader.readexactly(12), 10) == encode(TEXT, b"still here")


async def test_what_was_sent_before_an_end_is_heard_however_long_it_is(server: Server) -> None:
    texts = [b"%05d" % number * 20 for number in range(2_000)]
    async with raw(server) as (reader, writer):
        writer.write(b"".join(masked(0x1, text) for text in texts) + masked(0x8, b"\x03\xe8"))
        writer.write_eof()
        got = await asyncio.wait_for(reader.read(), 10)
        while len(more := await asyncio.wait_for(reader.read(), 10)):
            got += more
        assert got == b"".join(encode(TEXT, text) for text in texts) + encode_close(1000)
