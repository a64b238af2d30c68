"""The gateway's own application and one that is mounted on it, over the same connections."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import orjson
import pytest
from aiohttp import WSMsgType, web
from websockets.asyncio.client import connect as websocket

from tests.peers.gateways import eventually, gateway, steady
from tests.peers.scripted import answering
from tests.peers.wire import Wire, connect
from uaitools.proxy.gateway import Gateway


class Own:
    """Handlers of a mounted application; remembers how they ended."""

    def __init__(self) -> None:
        self.ended: list[str] = []
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()

    async def echo(self, request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    async def client(self, request: web.Request) -> web.Response:
        return web.json_response(
            {"remote": request.remote, "scheme": request.scheme, "host": request.host}
        )

    async def ignore_body(self, _request: web.Request) -> web.Response:
        return web.Response(text="unread")

    async def fail(self, _request: web.Request) -> web.Response:
        raise RuntimeError("secret")

    async def stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for number in range(int(request.query.get("pieces", "3"))):
            await response.write(b"%d" % number * int(request.query.get("size", "1")))
            await self.go_on.wait()
        return response

    async def fail_within(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"part")
        raise RuntimeError("secret")

    async def hang(self, _request: web.Request) -> web.Response:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise
        return web.Response()

    async def pour(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            for _ in range(300):
                await response.write(b"x" * 1_000_000)
                self.ended.append("written")
        except (asyncio.CancelledError, ConnectionError):
            self.ended.append("cancelled")
            raise
        return response

    async def talk(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(max_msg_size=0)
        await socket.prepare(request)
        try:
            async for message in socket:
                if message.type == WSMsgType.TEXT and message.data == "bye":
                    await socket.close(code=4003, message=b"told so")
                elif message.type == WSMsgType.TEXT:
                    await socket.send_str(message.data)
                elif message.type == WSMsgType.BINARY:
                    await socket.send_bytes(message.data)
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise
        self.ended.append(f"closed {socket.close_code}")
        return socket

    def application(self) -> web.Application:
        app = web.Application(client_max_size=0)
        app.router.add_post("/own/echo", self.echo)
        app.router.add_get("/own/client", self.client)
        app.router.add_post("/own/unread", self.ignore_body)
        app.router.add_get("/own/fail", self.fail)
        app.router.add_get("/own/fail-within", self.fail_within)
        app.router.add_get("/own/stream", self.stream)
        app.router.add_get("/own/hang", self.hang)
        app.router.add_get("/own/pour", self.pour)
        app.router.add_get("/own/talk", self.talk)
        return app


def get(path: bytes, lines: bytes = b"") -> bytes:
    return b"GET %b HTTP/1.1\r\nHost: a\r\n%b\r\n" % (path, lines)


def post(path: bytes, body: bytes) -> bytes:
    return b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (path, len(body), body)


@contextlib.asynccontextmanager
async def mounted(**settings: object) -> AsyncIterator[tuple[Own, Gateway, Wire]]:
    """A gateway with the application, and a client."""
    own = Own()
    async with (
        answering() as server,
        gateway(server.url, app=own.application(), **settings) as proxy,
    ):
        wire = await connect(proxy.address.port)
        yield own, proxy, wire
        if not wire.lost:
            wire.close()
        await wire.finish()
        await eventually(lambda: len(proxy.clients) == 0)


async def healthy(wire: Wire) -> None:
    wire.send(get(b"/health"))
    answered = await wire.message()
    assert answered.status == 200
    assert orjson.loads(answered.body)["service"] == "proxy"


async def test_health_status_and_metrics_are_served() -> None:
    async with mounted() as (_, _, wire):
        wire.send(get(b"/elsewhere"))
        assert (await wire.message()).body == b"ok"
        await healthy(wire)
        wire.send(get(b"/api/status"))
        document = orjson.loads((await wire.message()).body)
        assert document["services"]["api"]["successes"] == 1
        assert document["services"]["api"]["in_flight"] == 0
        wire.send(get(b"/metrics"))
        text = (await wire.message()).body
        (line,) = [
            line
            for line in text.decode().splitlines()
            if line.startswith("http_requests_total{") and 'endpoint="/"' in line
        ]
        assert line.endswith("} 1")
        assert 'status="200"' in line


@pytest.mark.parametrize("size", [0, 10, 70_000, 5_000_000])
async def test_a_native_post_gets_its_body(size: int) -> None:
    body = b"x" * size
    async with mounted() as (_, _, wire):
        for _ in range(2):
            wire.send(post(b"/own/echo", body))
            assert (await wire.message()).body == body
        wire.send(
            b"POST /own/echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"5\r\nhello\r\n0\r\n\r\n"
        )
        assert (await wire.message()).body == b"hello"


async def test_a_native_handler_that_reads_no_body_leaves_the_connection_in_order() -> None:
    async with mounted() as (_, _, wire):
        for size in (10, 100_000):
            wire.send(post(b"/own/unread", b"x" * size))
            assert (await wire.message()).body == b"unread"
            await healthy(wire)


async def test_native_and_proxied_requests_alternate_on_one_connection() -> None:
    async with mounted() as (_, _, wire):
        wire.send((get(b"/x") + post(b"/own/echo", b"mine") + get(b"/health")) * 20)
        for _ in range(20):
            assert (await wire.message()).body == b"ok"
            assert (await wire.message()).body == b"mine"
            assert (await wire.message()).status == 200


async def test_a_native_stream_arrives_piece_by_piece() -> None:
    async with mounted() as (own, _, wire):
        wire.send(get(b"/own/stream"))
        assert (await wire.head()).status == 200
        assert await wire.chunk() == b"0"
        own.go_on.set()
        assert await wire.chunked() == (b"12", b"")
        await healthy(wire)


async def test_a_handler_that_raises_is_a_500_that_tells_nothing() -> None:
    async with mounted() as (_, _, wire):
        for _ in range(2):
            wire.send(get(b"/own/fail"))
            answered = await wire.message()
            assert answered.status == 500
            error = orjson.loads(answered.body)
            assert error["code"] == 500
            assert error["request_id"].encode() == answered["x-request-id"]
            assert b"secret" not in answered.body
        await healthy(wire)


async def test_a_handler_that_raises_within_its_answer_resets_the_client() -> None:
    async with mounted() as (_, _, wire):
        wire.send(get(b"/own/fail-within"))
        assert (await wire.head()).status == 200
        await wire.finish()
        assert wire.was_reset
        assert b"\r\n0\r\n" not in wire.received


async def test_a_client_that_leaves_cancels_the_handler() -> None:
    async with mounted() as (own, _, wire):
        wire.send(get(b"/own/hang"))
        await own.begun.wait()
        wire.reset()
        await eventually(lambda: own.ended == ["cancelled"])


async def test_a_client_that_does_not_read_holds_the_handler() -> None:
    async with mounted() as (own, _, wire):
        wire.transport.pause_reading()
        wire.send(get(b"/own/pour"))
        await eventually(lambda: len(own.ended) > 0)
        assert await steady(lambda: len(own.ended)) < 100, "of 300 MB"
        wire.reset()
        await eventually(lambda: own.ended[-1] == "cancelled")


async def test_a_native_websocket_talks_and_closes_with_its_code() -> None:
    async with mounted() as (own, proxy, _):
        async with websocket(f"ws://{proxy.address}/own/talk", max_size=None, proxy=None) as client:
            for message in ("hello", b"bytes", "x" * 100_000, b"y" * 3_000_000):
                await client.send(message)
                assert await client.recv() == message
            await client.send("bye")
            await client.wait_closed()
            assert (client.close_code, client.close_reason) == (4003, "told so")
        async with websocket(f"ws://{proxy.address}/own/talk", proxy=None) as client:
            await client.close(4004)
        await eventually(lambda: own.ended == ["closed 4003", "closed 4004"])


async def test_a_native_websocket_whose_client_vanishes_ends() -> None:
    async with mounted() as (own, _, wire):
        wire.send(
            get(
                b"/own/talk",
                b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            )
        )
        assert (await wire.head()).status == 101
        wire.reset()
        await eventually(lambda: own.ended == ["cancelled"])


async def test_handlers_see_the_real_client_each_time() -> None:
    lines = b"X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: b\r\n"
    for trusted, expected in (
        ((), {"remote": "127.0.0.1", "scheme": "http", "host": "a"}),
        (("127.0.0.1/32",), {"remote": "1.2.3.4", "scheme": "https", "host": "b"}),
    ):
        async with mounted(trusted_proxies=trusted) as (_, _, wire):
            wire.send(get(b"/own/client", lines))
            assert orjson.loads((await wire.message()).body) == expected
            wire.send(get(b"/own/client"))
            plain = orjson.loads((await wire.message()).body)
            assert plain == {"remote": "127.0.0.1", "scheme": "http", "host": "a"}


async def test_wrong_methods_and_head_on_native_paths() -> None:
    async with mounted() as (_, _, wire):
        wire.send(b"DELETE /health HTTP/1.1\r\nHost: a\r\n\r\n")
        answered = await wire.message()
        assert answered.status == 405
        assert orjson.loads(answered.body)["code"] == 405
        assert answered["allow"] == b"GET,HEAD"
        wire.send(b"HEAD /health HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await wire.message(to="HEAD")).status == 200
        await healthy(wire)


async def test_native_paths_cannot_be_reached_around_our_parser() -> None:
    async with mounted() as (_, _, wire):
        wire.send(get(b"//health") + get(b"/%68ealth") + get(b"/x/../health"))
        for _ in range(3):
            answered = await wire.message()
            assert orjson.loads(answered.body)["service"] == "proxy"


async def test_a_method_that_our_own_paths_do_not_know_is_a_405_in_our_shape() -> None:
    async with gateway("http://127.0.0.1:1") as proxy:
        wire = await connect(proxy.address.port)
        wire.send(b"BREW /health HTTP/1.1\r\nHost: a\r\n\r\n")
        answered = await wire.message()
        assert answered.status == 405
        assert b"GET" in answered["allow"]
        assert orjson.loads(answered.body)["code"] == 405
        wire.close()


async def test_our_own_paths_take_heads_up_to_the_proxy_s_limits() -> None:
    async with gateway("http://127.0.0.1:1") as proxy:
        wire = await connect(proxy.address.port)
        wire.send(b"GET /health HTTP/1.1\r\nHost: a\r\nA: %b\r\n\r\n" % (b"a" * 15_000))
        assert (await wire.message()).status == 200
        wire.close()


async def test_a_body_that_is_not_what_its_coding_says_is_no_error_of_ours(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with gateway("http://127.0.0.1:1") as proxy:
        wire = await connect(proxy.address.port)
        wire.send(
            b"POST /health HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\n"
            b"Content-Length: 5\r\n\r\nhello"
        )
        assert (await wire.message()).status == 405
        wire.close()
    assert "Traceback" not in "".join(capsys.readouterr())
