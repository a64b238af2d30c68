"""The plain listener beside a TLS one."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.peers.gateways import eventually
from tests.peers.scripted import answering
from tests.peers.tls import Authority, tls_gateway
from tests.peers.wire import Message, connect
from uaitools.proxy.gateway import Gateway


@contextlib.asynccontextmanager
async def redirecting(folder: Path, **settings: object) -> AsyncIterator[tuple[Gateway, int]]:
    """A gateway and the port that redirects."""
    tls = {"redirect": "127.0.0.1:0", "hsts": "max-age=60", "public_port": 443, **settings}
    async with (
        answering() as server,
        tls_gateway(server.url, Authority(folder), **tls) as proxy,
    ):
        assert proxy.front is not None
        assert proxy.front.redirect_port is not None
        yield proxy, proxy.front.redirect_port
        await eventually(lambda: len(proxy.clients) == 0)
        assert server.requests == [], "nothing plain is ever passed on"


async def ask(port: int, request: bytes) -> Message:
    wire = await connect(port)
    wire.send(request)
    message = await wire.message()
    assert message["connection"] == b"close"
    assert "strict-transport-security" not in message
    wire.close()
    await wire.finish()
    return message


@pytest.mark.parametrize(
    ("request_line", "host", "location"),
    [
        (b"GET / HTTP/1.1", b"a.test", b"https://a.test/"),
        (b"GET /a/b?c=d&e HTTP/1.1", b"a.test", b"https://a.test/a/b?c=d&e"),
        (b"GET /a HTTP/1.1", b"a.test:8080", b"https://a.test/a"),
        (b"GET /a HTTP/1.1", b"[::1]:80", b"https://[::1]/a"),
        (b"GET /a HTTP/1.1", b"a.test:", b"https://a.test/a"),
        (b"GET //evil.test/a HTTP/1.1", b"a.test", b"https://a.test/evil.test/a"),
        (b"GET http://a.test/a HTTP/1.1", b"a.test", b"https://a.test/a"),
        (b"OPTIONS * HTTP/1.1", b"a.test", b"https://a.test"),
        (b"HEAD /a HTTP/1.1", b"a.test", b"https://a.test/a"),
    ],
)
async def test_requests_are_sent_on_to_the_same_place_by_https(
    tmp_path: Path, request_line: bytes, host: bytes, location: bytes
) -> None:
    async with redirecting(tmp_path) as (_, port):
        answered = await ask(port, b"%b\r\nHost: %b\r\n\r\n" % (request_line, host))
        assert answered.status == 308
        assert answered["location"] == location
        assert answered.body == b""


async def test_the_port_of_the_tls_listener_is_named_unless_it_is_the_usual_one(
    tmp_path: Path,
) -> None:
    async with redirecting(tmp_path, public_port=None) as (proxy, port):
        answered = await ask(port, b"GET /a HTTP/1.1\r\nHost: a.test:80\r\n\r\n")
        assert answered["location"] == b"https://a.test:%d/a" % proxy.address.port


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: :80\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a.test@evil.test\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: evil.test/\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET http://evil.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\n X: y\r\n\r\n", 400),
        (b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 505),
        (b"\x16\x03\x01\x02\x00\x01", 400),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 405),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"GET /" + b"a" * 9000, 414),
        (b"GET / HTTP/1.1\r\nA: " + b"a" * 17000, 431),
    ],
)
async def test_what_is_no_request_is_refused_and_counted(
    tmp_path: Path, request_head: bytes, status: int
) -> None:
    async with redirecting(tmp_path) as (proxy, port):
        answered = await ask(port, request_head)
        assert answered.status == status
        assert "location" not in answered
        assert proxy.malformed_counts == {status: 1}


async def test_a_head_may_come_in_pieces(tmp_path: Path) -> None:
    async with redirecting(tmp_path) as (_, port):
        wire = await connect(port)
        for piece in (b"GET /a HT", b"TP/1.1\r\nHost: a.te", b"st\r\n\r", b"\n"):
            wire.send(piece)
            await asyncio.sleep(0.01)
        assert (await wire.message())["location"] == b"https://a.test/a"
        wire.close()
        await wire.finish()


async def test_a_body_is_not_read_and_its_client_gets_the_answer(tmp_path: Path) -> None:
    async with redirecting(tmp_path) as (_, port):
        request = b"POST /a HTTP/1.1\r\nHost: a.test\r\nContent-Length: 200000\r\n\r\n"
        answered = await ask(port, request + bytes(200_000))
        assert answered.status == 308


async def test_an_endless_body_is_cut_off(tmp_path: Path) -> None:
    async with redirecting(tmp_path) as (_, port):
        wire = await connect(port)
        wire.send(b"POST /a HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n")
        wire.send(bytes(20_000_000))
        await wire.finish()
        assert wire.was_reset


async def test_silent_clients_are_ended(tmp_path: Path) -> None:
    async with redirecting(tmp_path, client={"header": 0.2}) as (proxy, port):
        silent, half = await connect(port), await connect(port)
        silent.finished = True
        half.send(b"GET /")
        await eventually(lambda: len(proxy.clients) == 2)
        assert (await half.message()).status == 408
        await silent.finish()
        half.close()


async def test_connections_count_as_clients(tmp_path: Path) -> None:
    async with redirecting(tmp_path, client={"connections": 1}) as (_, port):
        first = await connect(port)
        answered = await ask(port, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert answered.status == 503
        first.close()
