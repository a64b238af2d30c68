"""Compressed messages over real sockets, with clients of other people."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator

import aiohttp
import pytest
import websockets
from aiohttp import web
from websockets.asyncio.client import ClientConnection
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from tests.peers.gateways import eventually
from uaitools.hub.channel import Channel, ChannelPolicy
from uaitools.hub.closing import Closing
from uaitools.hub.deflate import deflated
from uaitools.hub.extensions import HEADER, agree
from uaitools.hub.fanout import Fanout
from uaitools.hub.frames import BINARY, TEXT, encode
from uaitools.hub.handshake import accept
from uaitools.hub.message import Message, frame_message, read_data
from uaitools.hub.ring import Ring
from uaitools.hub.sockets.handover import hand_over
from uaitools.hub.sockets.native import NativeSocket

LARGEST = 100_000
LINES = "one line and another line\n" * 1000


class Peer:
    """The hub's end of a connection: says what it hears, and is subscribed."""

    def __init__(self, server: Server, agreed: str) -> None:
        self.socket = NativeSocket(self, LARGEST, agreed)
        self.subscription = server.channel.subscribe(self, None, None, deflate=self.socket.deflate)
        self.ended = False
        self.paused = False
        self.heard: list[str | bytes] = []

    def say(self, frame: bytes) -> None:
        self.socket.write(deflated(frame) if self.socket.deflate else frame)

    def opened(self) -> None:
        pass

    def text(self, text: str) -> None:
        self.heard.append(text)
        self.say(encode(TEXT, text.encode()))

    def binary(self, data: bytes) -> None:
        self.heard.append(data)
        self.say(encode(BINARY, data))

    def resumed(self) -> None:
        pass

    def lost(self) -> None:
        self.ended = True
        self.subscription.channel.unsubscribe(self.subscription)

    def deliver(self, data: bytes) -> None:
        self.socket.write(data)

    def notice(self, frame: bytes) -> None:
        raise AssertionError(frame)

    def reset(self, channel: Channel) -> None:
        raise AssertionError(channel)

    def gap(self, channel: Channel, first: int, last: int) -> None:
        raise AssertionError(channel, first, last)

    def end(self, closing: Closing) -> None:
        self.socket.end(closing)


class Server:
    """An aiohttp server of one channel, whose operator wants compression."""

    def __init__(self) -> None:
        self.channel = Channel("c", ChannelPolicy(), Ring("e"), read_data)
        self.peers: list[Peer] = []
        self.allowed = True
        self.port = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        extension = agree(request.headers.getall(HEADER, ()), allowed=self.allowed)
        peer = Peer(self, extension)
        self.peers.append(peer)
        line = f"{HEADER}: {extension}\r\n".encode() if extension else b""
        return hand_over(request, accept(request.headers), peer.socket, line)

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
    for peer in made.peers:
        peer.socket.cut_off()
    await eventually(lambda: all(peer.ended for peer in made.peers))
    await runner.cleanup()


def answered(client: ClientConnection) -> str:
    assert client.response is not None
    return client.response.headers.get(HEADER, "")


async def test_clients_of_others_compress_and_read_what_is_compressed(server: Server) -> None:
    random = os.urandom(LARGEST)
    async with websockets.connect(server.url, max_size=None) as client:
        assert "server_no_context_takeover" in answered(client)
        for message in ("hi", "", LINES, LINES, b"", bytes(LARGEST), random, "ü" * 200):
            await client.send(message)
            assert await client.recv() == message
        await client.send(["frag", "", "men", LINES, "ted"])
        assert await client.recv() == f"fragmen{LINES}ted"
        await client.send(["", ""])
        assert await client.recv() == ""
    assert client.close_code == 1000
    assert server.peers[0].socket.sent < 2 * LARGEST

    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(server.url, compress=15) as other,
    ):
        assert other.compress
        for text in (LINES, "", "hi", LINES):
            await other.send_str(text)
            assert await other.receive_str() == text
    assert other.close_code == 1000
    assert server.peers[1].socket.sent < len(LINES) / 10
    assert server.peers[1].socket.deflate


@pytest.mark.parametrize("bits", [9, 12, 15])
async def test_a_client_who_limits_the_window_gets_it_or_nothing_compressed(
    server: Server, bits: int
) -> None:
    factory = ClientPerMessageDeflateFactory(server_max_window_bits=bits, client_max_window_bits=9)
    async with websockets.connect(
        server.url, compression=None, extensions=[factory], max_size=None
    ) as client:
        assert f"server_max_window_bits={min(12, bits)}" in answered(client)
        for _ in range(2):
            await client.send(LINES)
            assert await client.recv() == LINES
    assert (server.peers[0].socket.sent < len(LINES)) is (bits >= 12)


@pytest.mark.parametrize("wanted", ["client", "operator"])
async def test_nothing_is_compressed_unless_both_want_it(server: Server, wanted: str) -> None:
    server.allowed = wanted == "operator"
    compression = "deflate" if wanted == "client" else None
    async with websockets.connect(server.url, compression=compression) as client:
        assert answered(client) == ""
        await client.send(LINES)
        assert await client.recv() == LINES
    assert server.peers[0].socket.sent > len(LINES)


async def test_a_channel_has_both_kinds_of_subscribers(server: Server) -> None:
    fanout = Fanout()
    async with contextlib.AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(websockets.connect(server.url, compression=kind))
            for kind in ("deflate", None, "deflate", None)
        ]
        before = [peer.socket.sent for peer in server.peers]
        frames = [
            frame_message("c", n, Message("t", b'"%b"' % (b"again " * 200), 0.0)) for n in (1, 2)
        ]
        for frame in frames:
            server.channel.append(frame, None, 0.0)
            fanout.tell(server.channel)
        for client in clients:
            assert [await client.recv(decode=False) for _ in frames] == [
                frame[4:] for frame in frames
            ]
        sent = [peer.socket.sent - had for peer, had in zip(server.peers, before, strict=True)]
    fanout.stop()

    plain, small = sum(map(len, frames)), sum(len(deflated(frame)) for frame in frames)
    assert sent == [small, plain, small, plain]


async def test_a_bomb_is_answered_by_a_close(server: Server) -> None:
    async with websockets.connect(server.url) as client:
        await client.send(bytes(50 * LARGEST))
        with pytest.raises(websockets.ConnectionClosed):
            await client.recv()
        assert client.close_code == 1009
    assert server.peers[0].heard == []
