"""The listener over TLS: handshakes, certificates, bodies, ends; clients of several makes."""

import asyncio
import contextlib
import hashlib
import random
import socket
import ssl
import warnings
from pathlib import Path

import aiohttp
import pytest
from websockets.asyncio.client import connect as websocket

from tests.e2e.test_tunnels import SWITCHING, UPGRADE, echo_server, switched
from tests.peers.gateways import eventually, steady
from tests.peers.scripted import answer, answering, upstream
from tests.peers.tls import (
    NAME,
    Authority,
    HalfClosing,
    anyone,
    names,
    refused,
    secure,
    tls_gateway,
)
from tests.peers.wire import Wire, connect
from uaitools.tasks import spawn

GET = b"GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n"
POST = b"POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: %d\r\n\r\n"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


# -- handshakes -----------------------------------------------------------------------------


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_requests_are_answered_over_tls_1_2_and_1_3(
    authority: Authority, version: ssl.TLSVersion
) -> None:
    context = authority.client()
    context.minimum_version = context.maximum_version = version
    async with answering() as server, tls_gateway(server.url, authority) as proxy:
        wire = await secure(proxy.address.port, context)
        for _ in range(3):
            wire.send(GET)
            assert (await wire.message()).body == b"ok"
        assert [request["x-forwarded-proto"] for request in server.requests] == [b"https"] * 3
        wire.close()
        await eventually(lambda: len(proxy.clients) == 0)


async def test_older_versions_and_weak_ciphers_are_refused_and_counted(
    authority: Authority,
) -> None:
    old = anyone()
    old.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it is what is tested
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    weak = anyone(ssl.TLSVersion.TLSv1_2)
    weak.set_ciphers("ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0")
    async with answering() as server, tls_gateway(server.url, authority) as proxy:
        for context in (old, weak):
            await refused(proxy.address.port, context)
        await eventually(lambda: len(proxy.clients) == 0)
        assert proxy.handshake_failures == {"version": 1, "cipher": 1}


async def test_a_listener_can_ask_for_tls_1_3(authority: Authority) -> None:
    async with answering() as server, tls_gateway(server.url, authority, min_version="1.3") as gate:
        await refused(gate.address.port, anyone(ssl.TLSVersion.TLSv1_2))
        (await secure(gate.address.port)).close()
        await eventually(lambda: len(gate.clients) == 0)


async def test_alpn_chooses_http_1_1_and_nothing_else(authority: Authority) -> None:
    async with answering() as server, tls_gateway(server.url, authority) as proxy:
        for offered, chosen in ((["h2", "http/1.1"], "http/1.1"), (["h2"], None)):
            context = authority.client()
            context.set_alpn_protocols(offered)
            wire = await secure(proxy.address.port, context)
            tls = wire.transport.get_extra_info("ssl_object")
            assert tls.selected_alpn_protocol() == chosen
            wire.close()
            await wire.finish()


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("b.test", {"b.test"}),
        ("x.c.test", {"*.c.test"}),
        ("exact.c.test", {"exact.c.test"}),
        ("configured.test", {"other.test"}),
    ],
)
async def test_the_certificate_is_the_one_for_the_name_asked_for(
    authority: Authority, asked: str, found: set[str]
) -> None:
    files = [authority.issue(*n) for n in (["a.test"], ["b.test"], ["*.c.test"], ["exact.c.test"])]
    other = authority.issue("other.test")
    tls = [*(one.settings for one in files), {**other.settings, "names": ["configured.test"]}]
    context = authority.client()
    context.check_hostname = False
    async with (
        answering() as server,
        tls_gateway(server.url, authority, certificates=tls) as proxy,
    ):
        wire = await secure(proxy.address.port, context, asked)
        assert names(wire) == found
        wire.close()
        await wire.finish()


@pytest.mark.parametrize("asked", ["unknown.test", "c.test", "x.y.c.test", "127.0.0.1", None])
async def test_the_first_certificate_is_for_all_other_names_and_for_none(
    authority: Authority, asked: str | None
) -> None:
    files = authority.issue("a.test"), authority.issue("*.c.test")
    context = authority.client()
    context.check_hostname = False
    async with answering() as server, tls_gateway(server.url, authority, *files) as proxy:
        wire = await secure(proxy.address.port, context, asked)
        assert names(wire) == {"a.test"}
        wire.close()
        await wire.finish()


async def test_a_hello_may_come_byte_by_byte(authority: Authority) -> None:
    async with answering() as server, tls_gateway(server.url, authority) as proxy:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = authority.client().wrap_bio(incoming, outgoing, server_hostname=NAME)
        with pytest.raises(ssl.SSLWantReadError):
            client.do_handshake()
        wire = await connect(proxy.address.port)
        wire.transport.get_extra_info("socket").setsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
        )
        for byte in outgoing.read():
            wire.send(bytes([byte]))
            await asyncio.sleep(0)
        await wire.until(lambda: len(wire.received) > 500)
        incoming.write(wire.received)
        client.do_handshake()
        wire.close()
        await eventually(lambda: len(proxy.clients) == 0)


# -- what is no handshake -------------------------------------------------------------------


async def test_plain_http_on_the_tls_port_is_told_so(authority: Authority) -> None:
    async with answering() as server, tls_gateway(server.url, authority) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(GET)
        answered = await wire.message()
        assert answered.status == 400
        assert b"this port speaks TLS; use https://" in answered.body
        wire.close()
        await eventually(lambda: len(proxy.clients) == 0)
        assert proxy.handshake_failures == {"http": 1}
        assert server.requests == []


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00" * 100,
        b"\x16\x03\x01\x00\x05hello",
        b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc" + b"\xff" * 16380,
        b"\x80\x2e\x01\x00\x02" + b"x" * 60,
        b"SSH-2.0-OpenSSH_9.6\r\n",
        random.Random(3).randbytes(300_000),
    ],
)
async def test_garbage_ends_the_connection_without_a_traceback(
    authority: Authority, garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with answering() as server, tls_gateway(server.url, authority) as proxy:
        wire = await connect(proxy.address.port)
        wire.finished = True
        wire.send(garbage)
        await wire.finish()
        await eventually(lambda: len(proxy.clients) == 0)
        assert sum(proxy.handshake_failures.values()) == 1
        assert caplog.records == []


async def test_slow_handshakes_count_as_connections_and_time_out(authority: Authority) -> None:
    async with (
        answering() as server,
        tls_gateway(server.url, authority, handshake=0.3) as proxy,
    ):
        silent = await connect(proxy.address.port)
        half = await connect(proxy.address.port)
        half.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc")
        await eventually(lambda: len(proxy.clients) == 2)
        await silent.finish()
        await half.finish()
        await eventually(lambda: len(proxy.clients) == 0)
        assert proxy.handshake_failures == {"timeout": 2}


async def test_handshakes_beyond_the_limit_of_connections_are_cut(authority: Authority) -> None:
    async with (
        answering() as server,
        tls_gateway(server.url, authority, client={"connections": 2}) as proxy,
    ):
        first = await secure(proxy.address.port)
        second = await connect(proxy.address.port)
        await eventually(lambda: len(proxy.clients) == 2)
        third = await connect(proxy.address.port)
        await third.finish()
        assert third.was_reset
        assert proxy.handshake_failures == {"limit": 1}
        second.close()
        await eventually(lambda: len(proxy.clients) == 1)
        first.send(GET)
        assert (await first.message()).body == b"ok"
        first.close()
        await eventually(lambda: len(proxy.clients) == 0)


async def test_a_client_that_leaves_within_its_handshake_is_counted(authority: Authority) -> None:
    async with answering() as server, tls_gateway(server.url, authority) as proxy:
        for leave in (Wire.close, Wire.reset):
            wire = await connect(proxy.address.port)
            wire.send(b"\x16\x03\x01")
            await eventually(lambda: len(proxy.clients) == 1)
            leave(wire)
            await eventually(lambda: len(proxy.clients) == 0)
        assert proxy.handshake_failures == {"closed": 2}


async def test_failed_handshakes_are_in_the_metrics(authority: Authority) -> None:
    async with answering() as server, tls_gateway(server.url, authority) as proxy:
        plain = await connect(proxy.address.port)
        plain.send(GET)
        await plain.message()
        plain.close()
        wire = await secure(proxy.address.port)
        wire.send(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
        text = (await wire.message()).body
        assert b'proxy_tls_handshake_failures_total{kind="http"} 1' in text
        wire.close()
        await wire.finish()


# -- clients' certificates ------------------------------------------------------------------


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    ("auth", "shown", "passes"),
    [
        ("none", "good", True),
        ("optional", "nothing", True),
        ("optional", "good", True),
        ("optional", "stranger", False),
        ("required", "nothing", False),
        ("required", "good", True),
        ("required", "stranger", False),
        ("required", "expired", False),
    ],
)
async def test_clients_certificates(
    authority: Authority,
    auth: str,
    shown: str,
    passes: bool,
    version: ssl.TLSVersion,
) -> None:
    clients, strangers = [Authority(authority.folder / who) for who in ("clients", "strangers")]
    files = {
        "nothing": None,
        "good": clients.issue("robot.test", common="robot"),
        "expired": clients.issue("robot.test", expired=True),
        "stranger": strangers.issue("robot.test"),
    }[shown]
    context = authority.client(files)
    context.maximum_version = version
    trust = {} if auth == "none" else {"client_ca": str(clients.file)}
    forged = b"X-Forwarded-Client-Subject: CN=admin\r\nX-Forwarded-Client-Fingerprint: 0\r\n\r\n"
    async with (
        answering() as server,
        tls_gateway(server.url, authority, client_auth=auth, **trust) as proxy,
    ):
        if not passes:
            await refused(proxy.address.port, context, GET)
            await eventually(lambda: len(proxy.clients) == 0)
            assert proxy.handshake_failures == {"certificate": 1}
            assert server.requests == []
            return
        wire = await secure(proxy.address.port, context)
        for _ in range(2):
            wire.send(GET[:-2] + forged)
            assert (await wire.message()).body == b"ok"
        wire.close()
        await wire.finish()
        for request in server.requests:
            if shown == "good" and auth != "none":
                assert files is not None
                der = ssl.PEM_cert_to_DER_cert(files.cert.read_text())
                digest = hashlib.sha256(der).hexdigest().encode()
                assert request["x-forwarded-client-fingerprint"] == digest
                assert request["x-forwarded-client-subject"].startswith(b"CN=robot,")
            else:
                assert "x-forwarded-client-subject" not in request
                assert "x-forwarded-client-fingerprint" not in request


# -- answers and their ends -----------------------------------------------------------------


async def test_hsts_is_in_every_answer(authority: Authority) -> None:
    async with (
        answering() as server,
        tls_gateway(server.url, authority, hsts="max-age=31536000; includeSubDomains") as proxy,
    ):
        for request, status in (
            (GET, 200),
            (GET.replace(b"/x", b"/health"), 200),
            (b"PUT /health HTTP/1.1\r\nHost: a\r\n\r\n", 405),
            (b"GET / HTTP/1.1\r\n\r\n", 400),
        ):
            wire = await secure(proxy.address.port)
            wire.send(request)
            answered = await wire.message()
            assert answered.status == status
            expected = b"max-age=31536000; includeSubDomains"
            assert answered["strict-transport-security"] == expected
            wire.close()
            await wire.finish()


async def test_native_handlers_see_https(authority: Authority) -> None:
    from aiohttp import web  # noqa: PLC0415 - the client's module has the name

    async def scheme(request: web.Request) -> web.Response:
        return web.Response(text=f"{request.scheme} {request.url.scheme} {request.remote}")

    app = web.Application()
    app.router.add_get("/scheme", scheme)
    async with answering() as server, tls_gateway(server.url, authority, app=app) as proxy:
        wire = await secure(proxy.address.port)
        wire.send(GET.replace(b"/x", b"/scheme"))
        assert (await wire.message()).body == b"https https 127.0.0.1"
        wire.close()
        await wire.finish()


def blocking(port: int, context: ssl.SSLContext, request: bytes) -> tuple[bytes, str]:
    """What Python's own socket reads, and how it ended."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=NAME, suppress_ragged_eofs=False) as tls,
    ):
        tls.sendall(request)
        received = b""
        try:
            while data := tls.recv(65536):
                received += data
        except OSError as error:
            return received, type(error).__name__
        return received, "close_notify"


async def test_a_whole_answer_ends_with_close_notify(authority: Authority) -> None:
    async with answering() as server, tls_gateway(server.url, authority) as proxy:
        request = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        received, end = await asyncio.to_thread(
            blocking, proxy.address.port, authority.client(), request
        )
        assert received.endswith(b"\r\n\r\nok")
        assert end == "close_notify"


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
async def test_a_body_that_was_cut_short_never_ends_with_close_notify(
    authority: Authority, version: bytes, framing: str
) -> None:
    async def script(wire: Wire) -> None:
        await wire.head()
        match framing:
            case "length":
                wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            case "chunked":
                wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
            case "close":
                wire.send(b"HTTP/1.1 200 OK\r\n\r\nhalf")
        await gate.wait()
        wire.reset()

    gate = asyncio.Event()
    async with upstream(script) as server, tls_gateway(server.url, authority) as proxy:
        request = GET.replace(b"1.1", version)
        reading = asyncio.to_thread(blocking, proxy.address.port, authority.client(), request)
        ended = spawn(reading, name="client")
        await server.accepted()
        await eventually(lambda: sum(len(w.received) for w in server.wires) > 0)
        await asyncio.sleep(0.1)
        gate.set()
        _, end = await ended
        assert end in ("ConnectionResetError", "SSLEOFError")


async def test_a_last_answer_arrives_although_the_client_still_sends(authority: Authority) -> None:
    async with (
        answering() as server,
        tls_gateway(
            server.url, authority, routes=[{"path": "/", "service": "api", "max_body": 10}]
        ) as proxy,
    ):
        wire = await secure(proxy.address.port)
        wire.send(POST % 1_000_000 + b"x" * 200_000)
        assert (await wire.message()).status == 413
        wire.close()
        await eventually(lambda: len(proxy.clients) == 0)


async def test_pipelined_requests_are_answered_in_order(authority: Authority) -> None:
    async with answering() as server, tls_gateway(server.url, authority) as proxy:
        wire = await secure(proxy.address.port)
        wire.send(b"".join(GET.replace(b"/x", b"/%d" % number) for number in range(50)))
        for _ in range(50):
            assert (await wire.message()).body == b"ok"
        paths = [request.start.split()[1] for request in server.requests]
        assert paths == [b"/%d" % number for number in range(50)]
        wire.close()
        await wire.finish()


@pytest.mark.parametrize("way", ["close_notify", "fin", "reset"])
async def test_a_client_that_leaves_cancels_its_request(authority: Authority, way: str) -> None:
    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.rest()
        assert wire.was_reset

    async with upstream(script) as server, tls_gateway(server.url, authority) as proxy:
        wire = await secure(proxy.address.port)
        wire.send(GET)
        await (await server.accepted()).until(lambda: bool(server.received))
        match way:
            case "close_notify":
                wire.close()
            case "fin":
                wire.send_fin()
            case "reset":
                wire.reset()
        await server.wires[0].finish()
        await eventually(lambda: len(proxy.clients) == 0)
        wire.reset()


# -- bodies ---------------------------------------------------------------------------------


async def test_large_bodies_pass_whole_both_ways(authority: Authority) -> None:
    there, back = random.randbytes(5_000_000), random.randbytes(5_000_000)

    async def script(wire: Wire) -> None:
        request = await wire.message()
        assert request.body == there
        wire.send(answer(back))
        await wire.rest()

    async with upstream(script) as server, tls_gateway(server.url, authority) as proxy:
        wire = await secure(proxy.address.port)
        wire.send(POST % len(there) + there)
        assert (await wire.message()).body == back
        wire.close()
        await wire.finish()


async def test_a_client_that_does_not_read_holds_the_upstream(authority: Authority) -> None:
    async def script(wire: Wire) -> None:
        await wire.head()
        wire.send(answer(bytes(50_000_000)))
        await wire.until(lambda: wire.lost)

    async with upstream(script) as server, tls_gateway(server.url, authority) as proxy:
        # A socket of its own: the loop's TLS would read ahead.
        plain = socket.create_connection(("127.0.0.1", proxy.address.port))
        tls = await asyncio.to_thread(
            lambda: authority.client().wrap_socket(plain, server_hostname=NAME)
        )
        await asyncio.to_thread(tls.sendall, GET)
        await server.accepted()
        sent = server.wires[0].transport
        await eventually(lambda: sent.get_write_buffer_size() > 0)
        left = await steady(sent.get_write_buffer_size)
        assert left > 30_000_000, "the kernels hold the rest, the gateway next to nothing"
        assert max(client.unwritten() for client in proxy.clients) < 700_000
        tls.close()
        await eventually(lambda: len(proxy.clients) == 0)


async def test_an_upstream_that_does_not_read_holds_the_client(authority: Authority) -> None:
    async def script(wire: Wire) -> None:
        await wire.head()
        wire.transport.pause_reading()
        await wire.until(lambda: wire.lost, patience=20)

    async with upstream(script) as server, tls_gateway(server.url, authority) as proxy:
        plain = socket.create_connection(("127.0.0.1", proxy.address.port))
        tls = await asyncio.to_thread(
            lambda: authority.client().wrap_socket(plain, server_hostname=NAME)
        )
        await asyncio.to_thread(tls.sendall, POST % 50_000_000)
        await server.accepted()
        tls.setblocking(False)
        sent = 0

        def send() -> int:
            nonlocal sent
            with contextlib.suppress(ssl.SSLWantWriteError):
                while sent < 50_000_000:
                    sent += tls.send(bytes(16384))
            return sent

        assert await steady(send) < 30_000_000, "the kernels hold it, the gateway next to nothing"
        tls.close()
        server.wires[0].transport.resume_reading()
        await eventually(lambda: len(proxy.clients) == 0)


# -- tunnels --------------------------------------------------------------------------------


async def test_websockets_through_wss(authority: Authority) -> None:
    async with echo_server() as url, tls_gateway(url, authority) as proxy:
        async with websocket(
            f"wss://127.0.0.1:{proxy.address.port}/ws",
            ssl=authority.client(),
            max_size=None,
            proxy=None,
        ) as client:
            for message in ("hello", b"bytes", "", "ä" * 10_000, b"x" * 2_000_000):
                await client.send(message)
                assert await client.recv() == message
        assert client.close_code == 1000
        await eventually(lambda: len(proxy.clients) == 0)


async def test_a_tunnels_upstream_may_end_first(authority: Authority) -> None:
    back = random.randbytes(2_000_000)

    async def script(wire: Wire) -> None:
        await switched(wire)
        wire.send(back)
        wire.send_eof()
        await wire.finish()

    async with upstream(script) as server, tls_gateway(server.url, authority) as proxy:
        wire = await secure(proxy.address.port)
        wire.send(UPGRADE)
        await wire.head()
        assert await wire.rest() == back
        await wire.finish()
        await eventually(lambda: server.open == len(proxy.clients) == 0)


async def test_a_tunnel_can_be_half_closed_by_a_client_that_knows_how(
    authority: Authority,
) -> None:
    """RFC 8446 6.1: close_notify ends one direction only."""

    async def script(wire: Wire) -> None:
        await wire.head()
        wire.send(SWITCHING)
        seen = await wire.rest()
        wire.send(seen.upper())
        wire.send_eof()

    async with upstream(script) as server, tls_gateway(server.url, authority) as proxy:
        plain = await connect(proxy.address.port)
        client = HalfClosing(plain, authority.client())
        await client.handshake()
        client.send(UPGRADE)
        await client.read_to(b"\r\n\r\n")
        client.send(b"shout")
        client.send_end()
        assert await client.rest() == b"SHOUT"
        plain.close()
        await eventually(lambda: server.open == len(proxy.clients) == 0)


async def test_a_tunnel_whose_client_is_cut_off_is_ended(authority: Authority) -> None:
    async def script(wire: Wire) -> None:
        await switched(wire)
        wire.finished = True
        await wire.rest()

    async with upstream(script) as server, tls_gateway(server.url, authority) as proxy:
        wire = await secure(proxy.address.port)
        wire.send(UPGRADE)
        await wire.head()
        wire.send_fin()
        await server.wires[0].finish()
        await eventually(lambda: len(proxy.clients) == 0)
        wire.reset()


# -- clients of other makes -----------------------------------------------------------------


async def test_curl_is_served(authority: Authority) -> None:
    body = random.randbytes(300_000)

    async def script(wire: Wire) -> None:
        while not wire.ended or wire.unread:
            request = await wire.message()
            assert request["x-forwarded-proto"] == b"https"
            wire.send(answer(request.body))

    async with upstream(script) as server, tls_gateway(server.url, authority) as proxy:
        sent = authority.folder / "body"
        sent.write_bytes(body)
        process = await asyncio.create_subprocess_exec(
            "curl", "-sS", "--cacert", str(authority.file), "--data-binary", f"@{sent}",
            "--noproxy", "*", f"https://127.0.0.1:{proxy.address.port}/x",
            f"https://127.0.0.1:{proxy.address.port}/x",
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        output, _ = await process.communicate()
        assert process.returncode == 0
        assert output == body * 2
        await eventually(lambda: len(proxy.clients) == 0)


async def test_aiohttp_is_served(authority: Authority) -> None:
    async with answering() as server, tls_gateway(server.url, authority) as proxy:
        async with aiohttp.ClientSession() as session:
            url = f"https://127.0.0.1:{proxy.address.port}/x"
            for _ in range(3):
                async with session.post(url, data=bytes(100_000), ssl=authority.client()) as got:
                    assert (got.status, await got.read()) == (200, b"ok")
        await eventually(lambda: len(proxy.clients) == 0)
        assert len(server.wires) == 1
