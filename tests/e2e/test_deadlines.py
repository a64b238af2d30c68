"""A deadline for the whole of a request, whatever it waits for, and a route's own patience.

Each time: what the client sees and when, and that nothing is left: no connection, no count.
"""

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import orjson
import pytest
from aiohttp import ClientPayloadError, web
from aiohttp.test_utils import TestClient, TestServer

from tests.peers.gateways import ask, config, eventually, gateway, pool_of, service_of
from tests.peers.scripted import OK, answer, answering, hang, upstream
from tests.peers.stopwatch import stopwatch
from tests.peers.wire import Wire, connect
from uaitools.proxy import ReverseProxy
from uaitools.proxy.gateway import Gateway
from uaitools.traffic.breaker import State

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"
BUSY = answer(b"busy", b"503 Busy", b"Retry-After: 1\r\n")


def route(**settings: object) -> list[dict[str, object]]:
    return [{"path": "/", "service": "api", **settings}]


def within(milliseconds: int, raw: bytes = GET) -> bytes:
    return raw.replace(b"Host: a\r\n", b"Host: a\r\nX-Request-Timeout: %d\r\n" % milliseconds)


async def nothing_left(proxy: Gateway) -> None:
    pools = service_of(proxy).pools.values()
    await eventually(lambda: all(pool.open == len(pool.idle) for pool in pools))
    await eventually(lambda: len(proxy.clients) == 0)
    assert [(pool.endpoint.in_flight, len(pool.waiters)) for pool in pools] == [(0, 0)] * len(pools)
    assert len(proxy.deadlines) == 0


@contextmanager
def unconnectable() -> Iterator[str]:
    """The URL of a listening socket whose queue is full: it answers no handshake."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
            fillers.append(filler)
        try:
            yield f"http://127.0.0.1:{full.getsockname()[1]}"
        finally:
            for filler in fillers:
                filler.close()


# -- before the answer ----------------------------------------------------------------------


async def test_a_request_that_is_not_answered_in_its_time_is_a_504_in_the_house_shape() -> None:
    async with upstream(hang) as server, gateway(server.url, routes=route(timeout=0.3)) as proxy:
        began = time.monotonic()
        with stopwatch() as watch:
            answered = await ask(proxy)
        assert time.monotonic() - began >= 0.3
        assert watch.seconds < 2
        error = orjson.loads(answered.body)
        assert (answered.status, error["code"], error["service"]) == (504, 504, "api")
        assert error["request_id"] == answered["x-request-id"].decode()
        assert service_of(proxy).errors == {"deadline": 1}
        await eventually(lambda: server.open == 0)
        await nothing_left(proxy)


async def test_the_deadline_holds_while_a_connection_is_made() -> None:
    settings = {"timeouts": {"connect": 1.5}}
    with unconnectable() as url:
        async with gateway(url, service=settings, routes=route(timeout=0.3)) as proxy:
            with stopwatch() as watch:
                assert (await ask(proxy)).status == 504
            assert watch.seconds < 1.4
            assert pool_of(proxy).endpoint.in_flight == 0
            await nothing_left(proxy)
            assert pool_of(proxy).endpoint.breaker.failures == 0


async def test_the_deadline_holds_while_a_request_waits_for_a_connection() -> None:
    settings = {"limits": {"connections": 1}}
    routes = [*route(), {"path": "/queued", "service": "api", "timeout": 0.3}]
    async with upstream(hang) as server, gateway(server.url, service=settings, routes=routes) as p:
        first = await connect(p.address.port)
        first.send(GET)
        await server.accepted()
        assert (await ask(p, GET.replace(b"/x", b"/queued"))).status == 504
        assert len(pool_of(p).waiters) == 0
        assert server.received.count(b"GET") == 1
        first.reset()
        await nothing_left(p)


async def test_the_deadline_holds_while_the_client_sends_its_body() -> None:
    async with upstream(hang) as server, gateway(server.url, routes=route(timeout=0.3)) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(POST.replace(b"Content-Length: 4", b"Content-Length: 1000000"))
        answered = await wire.message()
        assert answered.status == 504
        assert answered["connection"] == b"close", "the rest of the body cannot be told apart"
        wire.close()
        await eventually(lambda: server.open == 0)
        await nothing_left(proxy)
        assert pool_of(proxy).endpoint.breaker.failures == 0, "it never had the request"


async def test_the_deadline_holds_while_a_retry_waits_for_its_turn() -> None:
    settings = {"retry": {"tries": 2, "max_delay": 5}}
    async with (
        answering(BUSY, OK) as server,
        gateway(server.url, service=settings, routes=route(timeout=10)) as proxy,
    ):
        wire = await connect(proxy.address.port)
        wire.send(GET)
        await eventually(lambda: len(server.requests) == 1)
        await eventually(lambda: pool_of(proxy).endpoint.in_flight == 0)
        proxy.deadlines.expire(time.monotonic() + 10)
        assert (await wire.message()).status == 504
        wire.send(GET)
        assert (await wire.message()).body == b"ok", "the connection and the endpoint are good"
        assert len(server.requests) == 2
        wire.close()
        await nothing_left(proxy)


async def test_a_retry_that_would_begin_after_the_deadline_is_not_waited_for() -> None:
    settings = {"retry": {"tries": 2, "max_delay": 5}}
    async with (
        answering(BUSY, OK) as server,
        gateway(server.url, service=settings, routes=route(timeout=0.9)) as proxy,
    ):
        answered = await ask(proxy)
        assert (answered.status, answered["retry-after"]) == (503, b"1")
        await nothing_left(proxy)


async def test_the_tries_share_one_deadline() -> None:
    settings = {"retry": {"tries": 3}, "timeouts": {"first_byte": 1}}
    async with (
        upstream(hang) as one,
        upstream(hang) as two,
        gateway(one.url, two.url, service=settings, routes=route(timeout=1.6)) as proxy,
    ):
        assert (await ask(proxy)).status == 504
        assert service_of(proxy).errors == {"timeout": 1, "deadline": 1}
        assert one.received.count(b"GET") == two.received.count(b"GET") == 1
        await nothing_left(proxy)


# -- within the answer ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["length", "chunked", "close"])
async def test_an_answer_that_is_not_whole_in_its_time_is_broken_off(kind: str) -> None:
    framing = {
        "length": b"Content-Length: 100\r\n\r\nsome",
        "chunked": b"Transfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n",
        "close": b"\r\nsome",
    }[kind]

    async def begins(wire: Wire) -> None:
        await wire.head()
        wire.send(b"HTTP/1.1 200 OK\r\n" + framing)
        await wire.rest()

    async with upstream(begins) as server, gateway(server.url, routes=route(timeout=0.4)) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(GET)
        assert (await wire.head()).status == 200
        await wire.finish()
        assert wire.was_reset, "it must not look whole"
        await eventually(lambda: server.open == 0)
        await nothing_left(proxy)
        assert proxy.requests.series(b"GET", "/").statuses == {200: 1}


async def test_an_answer_that_keeps_coming_has_its_deadline_all_the_same() -> None:
    async def endless(wire: Wire) -> None:
        await wire.head()
        wire.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while not wire.ended:
            wire.send(b"x" * 10_000)
            await wire.flush()
            await asyncio.sleep(0.01)  # its pace

    async with upstream(endless) as server, gateway(server.url, routes=route(timeout=0.4)) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(GET)
        await wire.finish()
        assert wire.was_reset
        await eventually(lambda: server.open == 0)
        await nothing_left(proxy)


async def test_a_tunnel_is_no_answer_and_outlives_the_deadline() -> None:
    async def switches(wire: Wire) -> None:
        await wire.head()
        lines = b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        wire.send(b"HTTP/1.1 101 Switching Protocols\r\n" + lines)
        wire.send(await wire.read(4))
        await wire.rest()

    async with upstream(switches) as server, gateway(server.url, routes=route(timeout=5)) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(
            GET.replace(b"\r\n\r\n", b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        )
        assert (await wire.head()).status == 101
        proxy.deadlines.expire(time.monotonic() + 60)
        wire.send(b"echo")
        assert await wire.read(4) == b"echo"
        wire.close()
        await nothing_left(proxy)


async def test_a_deadline_holds_where_the_proxy_is_an_aiohttp_handler() -> None:
    async def stalls(wire: Wire) -> None:
        head = await wire.head()
        if b" /begun " in head.start:
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx")
        await wire.rest()

    async with upstream(stalls) as server:
        proxy = ReverseProxy(config=config(server.url, routes=route(timeout=0.3)))
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", proxy.handle)
        app.cleanup_ctx.append(proxy.lifespan)
        async with TestClient(TestServer(app)) as client:
            assert (await client.get("/x")).status == 504
            assert (await client.post("/x", data=b"body")).status == 504
            begun = await client.get("/begun")
            with pytest.raises(ClientPayloadError):
                await begun.read()
            await nothing_left(proxy.gateway)
        await eventually(lambda: server.open == 0)


# -- what is said and believed --------------------------------------------------------------


async def test_the_upstream_is_told_how_many_milliseconds_are_left_at_each_try() -> None:
    settings = {"retry": {"tries": 2, "max_delay": 5}}
    async with (
        answering(BUSY, OK) as server,
        gateway(server.url, service=settings, routes=route(timeout=8)) as proxy,
    ):
        assert (await ask(proxy)).status == 200
        first, second = (int(request["x-request-timeout"]) for request in server.requests)
        assert 7000 < first <= 8000
        assert second <= first - 1000


async def test_without_a_deadline_nothing_is_said() -> None:
    async with answering() as server, gateway(server.url) as proxy:
        await ask(proxy)
        assert "x-request-timeout" not in server.requests[0]
        assert len(proxy.deadlines) == 0


@pytest.mark.parametrize(("limit", "expected"), [(None, 1500), (1.0, 1000), (9.0, 1500)])
async def test_a_client_s_own_x_request_timeout_counts_where_it_is_shorter(
    limit: float | None, expected: int
) -> None:
    async with answering() as server, gateway(server.url, routes=route(timeout=limit)) as proxy:
        assert (await ask(proxy, within(1500))).status == 200
        assert expected - 500 < int(server.requests[0]["x-request-timeout"]) <= expected


async def test_a_client_s_deadline_is_kept_on_a_route_without_one() -> None:
    async with upstream(hang) as server, gateway(server.url) as proxy:
        with stopwatch() as watch:
            assert (await ask(proxy, within(200))).status == 504
        assert watch.seconds < 2
        await nothing_left(proxy)


async def test_a_malformed_x_request_timeout_is_400_and_reaches_nobody() -> None:
    async with answering() as server, gateway(server.url) as proxy:
        raw = within(1).replace(b"Timeout: 1", b"Timeout: 1.5")
        assert (await ask(proxy, raw)).status == 400
        assert server.requests == []


# -- whose fault it is ----------------------------------------------------------------------


async def test_an_endpoint_that_hangs_past_the_route_s_deadline_is_ejected() -> None:
    settings = {"breaker": {"failures": 2}}
    async with (
        upstream(hang) as server,
        gateway(server.url, service=settings, routes=route(timeout=0.3)) as proxy,
    ):
        for _ in range(2):
            assert (await ask(proxy)).status == 504
        assert pool_of(proxy).endpoint.breaker.state is State.EJECTED
        await nothing_left(proxy)


async def test_impatient_clients_cannot_have_an_endpoint_ejected() -> None:
    settings = {"breaker": {"failures": 2}}
    async with (
        upstream(hang) as server,
        gateway(server.url, service=settings, routes=route(timeout=30)) as proxy,
    ):
        for _ in range(4):
            assert (await ask(proxy, within(1))).status == 504
        breaker = pool_of(proxy).endpoint.breaker
        assert (breaker.state, breaker.failures) == (State.HEALTHY, 0)
        assert service_of(proxy).errors == {"deadline": 4}
        await nothing_left(proxy)


# -- a route's own patience -----------------------------------------------------------------


async def test_a_route_s_first_byte_stands_over_its_service_s() -> None:
    settings = {"timeouts": {"first_byte": 30}}
    routes = route(timeouts={"first_byte": 0.3})
    async with (
        upstream(hang) as server,
        gateway(server.url, service=settings, routes=routes) as proxy,
    ):
        for raw in (GET, POST):
            assert (await ask(proxy, raw)).status == 504
        assert service_of(proxy).errors == {"timeout": 2}
        await nothing_left(proxy)


async def test_a_route_s_between_bytes_stands_over_its_service_s() -> None:
    async def stalls(wire: Wire) -> None:
        await wire.head()
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx")
        await wire.rest()

    routes = route(timeouts={"between_bytes": 0.3})
    async with upstream(stalls) as server, gateway(server.url, routes=routes) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(GET)
        await wire.finish()
        assert wire.was_reset
        await nothing_left(proxy)


async def test_each_waits_for_a_connection_as_long_as_its_own_route_says() -> None:
    routes = [
        *route(timeouts={"connect": 1.2}),
        {"path": "/hasty", "service": "api", "timeouts": {"connect": 0.2}},
    ]
    with unconnectable() as url:
        async with gateway(url, routes=routes) as proxy:
            began = time.monotonic()
            with stopwatch() as watch:
                patient = await connect(proxy.address.port)
                patient.send(GET)
                await eventually(lambda: pool_of(proxy).open == 1)
                assert (await ask(proxy, GET.replace(b"/x", b"/hasty"))).status == 504
            assert watch.seconds < 1
            assert (await patient.message()).status == 504
            assert time.monotonic() - began >= 1.2
            patient.close()
            await nothing_left(proxy)


async def test_requests_with_a_deadline_leave_nothing_when_they_are_answered() -> None:
    async with answering() as server, gateway(server.url, routes=route(timeout=30)) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(GET * 200)
        for _ in range(200):
            await wire.message()
        assert len(proxy.deadlines) == 0
        wire.send(POST)
        assert (await wire.message()).status == 200
        wire.close()
        await nothing_left(proxy)
        assert len(server.wires) == 1


async def test_who_leaves_before_the_deadline_takes_it_along() -> None:
    async with upstream(hang) as server, gateway(server.url, routes=route(timeout=30)) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(GET)
        await server.accepted()
        assert len(proxy.deadlines) == 1
        wire.reset()
        await nothing_left(proxy)
