"""What each kind of check makes of servers that behave."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from tests.peers.checked import application, instance, raw, saying
from tests.peers.servers import free_port
from tests.peers.tls import Authority
from uaitools.registry.checks.answer import Answer
from uaitools.registry.checks.ask import ask
from uaitools.registry.checks.session import check_session
from uaitools.registry.model import Check, Instance

HTTP = Check("http", "/health")
TCP = Check("tcp")
WEBSOCKET = Check("websocket", "/ws")
GOOD = Answer()


def answering(status: int, **headers: str) -> bytes:
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    if status in (101, 204):
        return f"HTTP/1.1 {status} Because\r\n{fields}\r\n".encode()
    return f"HTTP/1.1 {status} Because\r\n{fields}Content-Length: 2\r\n\r\nno".encode()


async def accept(request: web.Request) -> web.StreamResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for _ in socket:
        pass
    return socket


@pytest.mark.parametrize("status", [200, 201, 204, 299])
async def test_a_2xx_is_good(status: int, session: aiohttp.ClientSession) -> None:
    async with raw(saying(answering(status))) as port:
        assert await ask(HTTP, instance(port), session) == GOOD


async def test_429_is_weak(session: aiohttp.ClientSession) -> None:
    async with raw(saying(answering(429))) as port:
        assert await ask(HTTP, instance(port), session) == Answer(weak=True)


@pytest.mark.parametrize("status", [101, 302, 400, 401, 404, 500, 503])
async def test_any_other_status_is_a_failure(status: int, session: aiohttp.ClientSession) -> None:
    async with raw(saying(answering(status))) as port:
        assert await ask(HTTP, instance(port), session) == Answer(f"status {status}")


async def test_the_request_is_a_plain_get_of_the_path(session: aiohttp.ClientSession) -> None:
    seen = []

    async def handler(request: web.Request) -> web.Response:
        seen.append((request.method, request.raw_path, dict(request.headers)))
        return web.Response(headers={"Set-Cookie": "a=b; Path=/"})

    async with application(handler) as port:
        check = Check("http", "/a/../b%2Fc?deep=1&x=%20")
        for _ in range(2):
            assert await ask(check, instance(port, address="localhost"), session) == GOOD

    for method, path, headers in seen:
        assert (method, path) == ("GET", "/a/../b%2Fc?deep=1&x=%20")
        assert headers == {
            "Host": f"localhost:{port}",
            "User-Agent": "uaitools-check",
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "Connection": "close",
        }


@pytest.mark.parametrize("check", [HTTP, WEBSOCKET], ids=lambda check: check.kind)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(
    check: Check, status: int, session: aiohttp.ClientSession
) -> None:
    led = asyncio.Event()

    async def other(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        led.set()

    async with raw(other) as elsewhere:
        location = f"http://127.0.0.1:{elsewhere}/"
        async with raw(saying(answering(status, Location=location))) as port:
            answer = await ask(check, instance(port), session)

        assert answer.failure.endswith(f"status {status}")
        assert not led.is_set()


@pytest.mark.parametrize("check", [HTTP, TCP, WEBSOCKET], ids=lambda check: check.kind)
async def test_a_port_where_nobody_listens_refuses(
    check: Check, session: aiohttp.ClientSession
) -> None:
    answer = await ask(check, instance(free_port()), session)

    assert answer == Answer("connection refused")


@pytest.mark.parametrize("check", [HTTP, TCP, WEBSOCKET], ids=lambda check: check.kind)
async def test_a_name_that_does_not_resolve(check: Check, session: aiohttp.ClientSession) -> None:
    answer = await ask(check, instance(80, address="a.invalid"), session)

    assert answer == Answer("the name does not resolve")


@pytest.mark.parametrize("check", [HTTP, TCP, WEBSOCKET], ids=lambda check: check.kind)
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_addresses_are_ipv4_or_ipv6(
    check: Check, host: str, session: aiohttp.ClientSession
) -> None:
    handler = accept if check.kind == "websocket" else healthy
    async with application(handler, host) as port:
        assert await ask(check, instance(port, address=host), session) == GOOD


@pytest.mark.parametrize("check", [HTTP, TCP, WEBSOCKET], ids=lambda check: check.kind)
async def test_an_address_may_have_a_zone(check: Check, session: aiohttp.ClientSession) -> None:
    answer = await ask(check, instance(free_port(), address="fe80::1%nowhere0"), session)

    assert answer.failure
    assert "not valid" not in answer.failure


async def healthy(_: web.Request) -> web.StreamResponse:
    return web.Response(text="fine")


@pytest.mark.parametrize(
    "wrong",
    [
        {"address": "a@127.0.0.1"},
        {"address": "127.0.0.1/x"},
        {"address": "a:1"},
        {"address": ""},
        {"port": 0},
        {"port": 65536},
    ],
    ids=str,
)
@pytest.mark.parametrize("check", [HTTP, TCP, WEBSOCKET], ids=lambda check: check.kind)
async def test_what_is_no_address_or_port_is_not_asked(
    check: Check, wrong: dict[str, Any], session: aiohttp.ClientSession
) -> None:
    answer = await ask(check, instance(**({"port": 80} | wrong)), session)

    assert answer == Answer("its address, its port or the check's path is not valid")


async def test_a_path_that_leads_elsewhere_is_not_asked_for(
    session: aiohttp.ClientSession,
) -> None:
    answer = await ask(Check("http", "//127.0.0.2/"), instance(80), session)

    assert answer == Answer("its address, its port or the check's path is not valid")


# -- tcp --------------------------------------------------------------------------------------


async def test_a_tcp_check_opens_a_connection_says_nothing_and_closes_it(
    session: aiohttp.ClientSession,
) -> None:
    heard = asyncio.get_running_loop().create_future()

    async def script(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        heard.set_result(await reader.read())

    async with raw(script) as port:
        assert await ask(TCP, instance(port, scheme="https"), session) == GOOD
        assert await heard == b""


# -- websocket --------------------------------------------------------------------------------


async def test_a_websocket_check_shakes_hands_and_closes_properly(
    session: aiohttp.ClientSession,
) -> None:
    ended = asyncio.get_running_loop().create_future()

    async def handler(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(protocols=("chat",), autoclose=False)
        await socket.prepare(request)
        message = await socket.receive()
        await socket.close()
        ended.set_result((request.path, message.type, message.data))
        return socket

    async with application(handler) as port:
        assert await ask(WEBSOCKET, instance(port, scheme="ws"), session) == GOOD
        assert await ended == ("/ws", WSMsgType.CLOSE, 1000)


async def test_a_websocket_server_may_talk_while_it_is_told_goodbye(
    session: aiohttp.ClientSession,
) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        for number in range(100):
            await socket.send_str(f"news {number}")
        async for _ in socket:
            pass
        return socket

    async with application(handler) as port:
        assert await ask(WEBSOCKET, instance(port), session) == GOOD


async def test_a_websocket_check_of_something_else_is_a_failure(
    session: aiohttp.ClientSession,
) -> None:
    async with application(healthy) as port:
        answer = await ask(WEBSOCKET, instance(port), session)

    assert answer == Answer("no WebSocket handshake: status 200")


async def test_a_websocket_server_that_asks_for_less_is_weak(
    session: aiohttp.ClientSession,
) -> None:
    async with raw(saying(answering(429))) as port:
        assert await ask(WEBSOCKET, instance(port), session) == Answer(weak=True)


@pytest.mark.parametrize(
    "fields",
    [
        "",
        "Upgrade: websocket\r\nConnection: Upgrade\r\n",
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAA\r\n",
        "Upgrade: h2c\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAA\r\n",
    ],
    ids=["no fields", "no proof", "a wrong proof", "another protocol"],
)
async def test_a_handshake_that_proves_nothing_is_a_failure(
    fields: str, session: aiohttp.ClientSession
) -> None:
    async with raw(saying(f"HTTP/1.1 101 Yes\r\n{fields}\r\n".encode())) as port:
        answer = await ask(WEBSOCKET, instance(port), session)

    assert answer == Answer("an invalid WebSocket handshake")


# -- TLS --------------------------------------------------------------------------------------

SECURE = [(HTTP, "https"), (HTTP, "wss"), (WEBSOCKET, "wss"), (WEBSOCKET, "https")]


def secure(port: int, scheme: str) -> Instance:
    return instance(port, scheme=scheme)


@pytest.mark.parametrize(("check", "scheme"), SECURE)
@pytest.mark.parametrize("expired", [False, True])
async def test_certificates_are_not_verified_unless_told(
    tmp_path: Path, check: Check, scheme: str, expired: bool, session: aiohttp.ClientSession
) -> None:
    authority = Authority(tmp_path)
    context = authority.server(authority.issue("another.test", expired=expired))
    handler = accept if check.kind == "websocket" else healthy
    async with application(handler, tls=context) as port:
        assert await ask(check, secure(port, scheme), session) == GOOD


@pytest.mark.parametrize(("check", "scheme"), SECURE)
async def test_certificates_are_verified_when_told(
    tmp_path: Path, check: Check, scheme: str
) -> None:
    authority = Authority(tmp_path)
    good = authority.server(authority.issue("127.0.0.1"))
    bad: dict[str, ssl.SSLContext] = {
        "expired": authority.server(authority.issue("127.0.0.1", expired=True)),
        "of another": authority.server(authority.issue("another.test")),
    }
    handler = accept if check.kind == "websocket" else healthy
    async with check_session(authority.client()) as session:
        async with application(handler, tls=good) as port:
            assert await ask(check, secure(port, scheme), session) == GOOD
        for context in bad.values():
            async with application(handler, tls=context) as port:
                answer = await ask(check, secure(port, scheme), session)
            assert answer == Answer("its certificate is not trusted")


async def test_a_plain_server_where_tls_is_expected_is_a_failure(
    session: aiohttp.ClientSession,
) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(16)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        await reader.read()

    async with raw(script) as port:
        answer = await ask(HTTP, secure(port, "https"), session)

    assert answer == Answer("the TLS handshake failed")
