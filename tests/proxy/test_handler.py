"""The proxy as an aiohttp handler, between a real aiohttp client and a real aiohttp upstream."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer, make_mocked_request
from multidict import CIMultiDict
from yarl import URL

from uaitools.proxy import ProxyConfig, ReverseProxy

Client = TestClient[web.Request, web.Application]


class Upstream:
    """An application that echoes, streams, talks WebSocket and breaks off."""

    def __init__(self) -> None:
        self.cancelled = asyncio.Event()
        self.proceed = asyncio.Event()
        self.app = web.Application(client_max_size=1 << 30)
        self.app.router.add_route("*", "/echo", self.echo)
        self.app.router.add_get("/events", self.events)
        self.app.router.add_get("/socket", self.socket)
        self.app.router.add_get("/large", self.large)
        self.app.router.add_get("/torn", self.torn)
        self.app.router.add_get("/slow", self.slow)

    async def echo(self, request: web.Request) -> web.Response:
        body = await request.read()
        return web.json_response(
            {
                "method": request.method,
                "headers": dict(request.headers),
                "sha": hashlib.sha256(body).hexdigest(),
                "size": len(body),
            }
        )

    async def events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"data: one\n\n")
        await self.proceed.wait()
        await response.write(b"data: two\n\n")
        return response

    async def socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(f"echo {message.data}")
            if message.data == "bye":
                await socket.close(code=4001, message=b"as asked")
        return socket

    async def large(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = 32 << 20
        await response.prepare(request)
        for _ in range(512):
            await response.write(b"x" * 65536)
        return response

    async def torn(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = 1000
        await response.prepare(request)
        await response.write(b"only this")
        assert request.transport is not None
        request.transport.abort()
        return response

    async def slow(self, _request: web.Request) -> web.Response:
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()
        return web.Response()


@pytest.fixture
async def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
async def proxy(upstream: Upstream) -> AsyncIterator[ReverseProxy]:
    runner = web.AppRunner(upstream.app, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    yield ReverseProxy(f"http://{host}:{port}")
    await runner.cleanup()


@pytest.fixture
async def client(proxy: ReverseProxy) -> AsyncIterator[Client]:
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", proxy.handle)
    app.cleanup_ctx.append(proxy.lifespan)
    async with TestClient(TestServer(app, handler_cancellation=True)) as client:
        yield client


async def test_forwards_a_request_with_our_headers(client: Client) -> None:
    async with client.get("/echo", headers={"X-User-Id": "forged"}) as response:
        seen = CIMultiDict((await response.json())["headers"])
    assert response.headers["X-Request-Id"] == seen["X-Request-Id"]
    assert seen["X-Forwarded-For"] == "127.0.0.1"
    assert "X-User-Id" not in seen


@pytest.mark.parametrize("size", [0, 1, 100_000, 8 << 20])
async def test_streams_a_chunked_upload(client: Client, size: int) -> None:
    body = b"u" * size

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, size, 50_000):
            yield body[start : start + 50_000]

    async with client.post("/echo", data=pieces()) as response:
        answer = await response.json()
    assert (answer["size"], answer["sha"]) == (size, hashlib.sha256(body).hexdigest())


async def test_events_arrive_one_by_one(client: Client, upstream: Upstream) -> None:
    async with client.get("/events") as response:
        assert await response.content.readuntil(b"\n\n") == b"data: one\n\n"
        upstream.proceed.set()
        assert await response.content.read() == b"data: two\n\n"


async def test_head_has_the_length_and_no_body(client: Client) -> None:
    async with client.head("/large") as response:
        assert response.headers["Content-Length"] == str(32 << 20)
        assert await response.read() == b""


async def test_large_answer_arrives_whole(client: Client) -> None:
    async with client.get("/large") as response:
        size = 0
        async for piece in response.content.iter_chunked(1 << 20):
            size += len(piece)
    assert size == 32 << 20


async def test_torn_answer_does_not_look_whole(client: Client) -> None:
    async with client.get("/torn") as response:
        with pytest.raises(aiohttp.ClientError):
            await response.read()


async def test_websocket_becomes_a_tunnel(client: Client) -> None:
    async with client.ws_connect("/socket") as socket:
        await socket.send_str("hello")
        assert await socket.receive_str() == "echo hello"
        await socket.send_str("bye")
        assert await socket.receive_str() == "echo bye"
        closing = await socket.receive()
        assert (closing.type, closing.data) == (aiohttp.WSMsgType.CLOSE, 4001)


async def test_client_that_leaves_cancels_the_upstream(client: Client, upstream: Upstream) -> None:
    with pytest.raises(TimeoutError):
        await client.get("/slow", timeout=aiohttp.ClientTimeout(total=0.3))
    async with asyncio.timeout(5):
        await upstream.cancelled.wait()


async def test_service_without_a_listener_is_a_502_in_our_shape() -> None:
    config = ProxyConfig.model_validate(
        {
            "services": {"gone": {"endpoints": ["http://127.0.0.1:1"], "retry": {"tries": 1}}},
            "routes": [{"path": "/", "service": "gone"}],
        }
    )
    proxy = ReverseProxy(config=config)
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", proxy.handle)
    app.cleanup_ctx.append(proxy.lifespan)
    async with TestClient(TestServer(app)) as client, client.get("/x") as response:
        document = await response.json()
    assert response.status == 502
    assert (document["code"], document["service"]) == (502, "gone")
    assert document["request_id"] == response.headers["X-Request-Id"]


def test_upstreams_or_configuration_not_both() -> None:
    with pytest.raises(ValueError, match="either"):
        ReverseProxy("http://127.0.0.1:1", config=ProxyConfig())


@pytest.mark.parametrize("path", ["/a/..%2fb", "/%zz"])
async def test_what_the_gateway_refuses_is_refused_here(client: Client, path: str) -> None:
    url = URL(f"http://{client.host}:{client.port}{path}", encoded=True)
    async with client.session.get(url) as answer:
        document = await answer.json()
    assert (answer.status, document["code"]) == (400, 400)
    assert document["request_id"] == answer.headers["X-Request-Id"]


async def test_client_that_vanishes_within_its_upload_frees_the_endpoint(
    client: Client, proxy: ReverseProxy
) -> None:
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nsome")
    (endpoint,) = proxy.gateway.services["upstream"].endpoints
    await reached(lambda: endpoint.in_flight == 1)
    writer.transport.abort()
    await reached(lambda: endpoint.in_flight == 0)
    assert reader.at_eof() or reader.exception() is not None


async def reached(state: Callable[[], bool]) -> None:
    """Return when `state` holds; fails after five seconds."""
    async with asyncio.timeout(5):
        while not state():  # noqa: ASYNC110 - a counter has no event
            await asyncio.sleep(0.005)


async def test_a_handler_without_its_lifespan_says_what_is_missing() -> None:
    proxy = ReverseProxy("http://127.0.0.1:1")

    with pytest.raises(RuntimeError, match="cleanup_ctx"):
        await proxy.handle(make_mocked_request("GET", "/"))
