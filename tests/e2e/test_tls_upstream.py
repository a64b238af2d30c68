"""Upstreams over TLS: who is believed, what is told of who is not, and the ends of connections."""

import asyncio
import contextlib
import ssl
from pathlib import Path

import pytest
from websockets.asyncio.client import connect as websocket
from websockets.asyncio.server import ServerConnection, serve

from tests.peers.gateways import SERVICE, config, eventually, gateway, pool_of, service_of
from tests.peers.scripted import OK, Scripted, answer, answering, upstream
from tests.peers.tls import Authority, secure_upstream
from tests.peers.wire import Message, Wire, connect
from uaitools.proxy.gateway import Gateway

GET = b"GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def trusting(authority: Authority, **settings: object) -> dict[str, object]:
    """The settings of a service that believes `authority`."""
    return {"tls": {"ca": str(authority.file), **settings}}


async def ask(proxy: Gateway, request: bytes = GET) -> Message:
    wire = await connect(proxy.address.port)
    wire.send(request)
    message = await wire.message()
    wire.close()
    await wire.finish()
    return message


async def test_requests_go_over_one_kept_connection(authority: Authority) -> None:
    async with (
        secure_upstream(authority) as server,
        gateway(server.url, service=trusting(authority)) as proxy,
    ):
        assert server.url.startswith("https://")
        for _ in range(3):
            assert (await ask(proxy)).body == b"ok"
        assert (pool_of(proxy).opened, pool_of(proxy).reused) == (1, 2)
        assert pool_of(proxy).endpoint.address == f"https://127.0.0.1:{server.port}"


async def test_bodies_pass_both_ways(authority: Authority) -> None:
    body = bytes(range(256)) * 8000

    async def script(wire: Wire) -> None:
        request = await wire.message()
        wire.send(answer(request.body))
        await wire.rest()

    async with (
        secure_upstream(authority, script=script) as server,
        gateway(server.url, service=trusting(authority)) as proxy,
    ):
        request = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body)
        assert (await ask(proxy, request + body)).body == body


async def test_the_hosts_name_is_asked_for_and_verified(authority: Authority) -> None:
    context = authority.server(authority.issue("localhost"))
    asked: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    async with secure_upstream(authority, context=context) as server:
        url = f"https://localhost:{server.port}"
        async with gateway(url, service=trusting(authority)) as proxy:
            assert (await ask(proxy)).body == b"ok"
    assert asked == ["localhost"]


async def test_another_name_can_be_asked_for(authority: Authority) -> None:
    context = authority.server(authority.issue("internal.test"))
    asked: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    async with (
        secure_upstream(authority, context=context) as server,
        gateway(server.url, service=trusting(authority, server_name="internal.test")) as proxy,
    ):
        assert (await ask(proxy)).body == b"ok"
    assert asked == ["internal.test"]


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("wrong name", "certificate is not valid for '127.0.0.1'"),
        ("stranger", "unable to get local issuer certificate"),
        ("expired", "certificate has expired"),
        ("plain", "wrong version number"),
        ("closing", "closed the connection within the handshake"),
    ],
)
async def test_who_cannot_be_believed_is_a_connect_error_that_clients_learn_nothing_of(
    authority: Authority, kind: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async def plain(wire: Wire) -> None:
        wire.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    async def closing(wire: Wire) -> None:
        wire.close()

    running: contextlib.AbstractAsyncContextManager[Scripted]
    signer = Authority(authority.folder / "stranger") if kind == "stranger" else authority
    match kind:
        case "plain":
            running = upstream(plain)
        case "closing":
            running = upstream(closing)
        case _:
            running = secure_upstream(
                signer, *(["b.test"] if kind == "wrong name" else []), expired=kind == "expired"
            )
    async with running as server:
        url = f"https://127.0.0.1:{server.port}"
        async with gateway(url, service=trusting(authority)) as proxy:
            for _ in range(3):
                answered = await ask(proxy)
                assert answered.status == 502
                assert b"no connection to the service could be made" in answered.body
                assert b"certificate" not in answered.body
            service = service_of(proxy)
            assert service.errors == {"connect": 3}
            assert service.last_error is not None
            assert reason in service.last_error
            assert pool_of(proxy).endpoint.breaker.state.value == "ejected", "evidence"
            assert (await ask(proxy)).status == 503
            status = await ask(proxy, b"GET /api/status HTTP/1.1\r\nHost: a\r\n\r\n")
            assert reason in status.body.decode()
            await eventually(lambda: pool_of(proxy).open == server.open == 0)
    assert "".join(capsys.readouterr()).count("TLS to an endpoint failed") == 1, "said once"


async def test_verification_can_be_switched_off(authority: Authority) -> None:
    async with (
        secure_upstream(authority, "b.test", expired=True) as server,
        gateway(server.url, service={"tls": {"verify": False}}) as proxy,
    ):
        assert (await ask(proxy)).body == b"ok"


async def test_by_default_the_systems_authorities_are_believed_and_no_other(
    authority: Authority,
) -> None:
    async with secure_upstream(authority) as server, gateway(server.url) as proxy:
        assert (await ask(proxy)).status == 502


async def test_old_versions_are_not_spoken(authority: Authority) -> None:
    context = authority.server(authority.issue("127.0.0.1"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with secure_upstream(authority, context=context) as server:
        for minimum, status in (("1.2", 200), ("1.3", 502)):
            settings = trusting(authority, min_version=minimum)
            async with gateway(server.url, service=settings) as proxy:
                assert (await ask(proxy)).status == status


@pytest.mark.parametrize("shown", [True, False])
async def test_a_service_may_ask_who_we_are(authority: Authority, shown: bool) -> None:
    context = authority.server(authority.issue("127.0.0.1"))
    authority.ca.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    us = authority.issue("gateway.test")
    files = {"cert": str(us.cert), "key": str(us.key)} if shown else {}
    async with (
        secure_upstream(authority, context=context) as server,
        gateway(server.url, service=trusting(authority, **files)) as proxy,
    ):
        assert (await ask(proxy)).status == (200 if shown else 502)


async def test_a_handshake_that_takes_too_long_is_a_connect_timeout(authority: Authority) -> None:
    async def silent(wire: Wire) -> None:
        wire.finished = True
        await wire.until(lambda: wire.lost)

    async with upstream(silent) as server:
        url = f"https://127.0.0.1:{server.port}"
        settings = {**trusting(authority), "timeouts": {"connect": 0.3}}
        async with gateway(url, service=settings) as proxy:
            assert (await ask(proxy)).status == 504
            assert service_of(proxy).errors == {"connect_timeout": 1}
            await eventually(lambda: server.open == 0)


@pytest.mark.parametrize("end", ["close_notify", "fin", "reset"])
async def test_a_body_until_close_is_whole_only_with_close_notify(
    authority: Authority, end: str
) -> None:
    async def script(wire: Wire) -> None:
        await wire.head()
        wire.send(b"HTTP/1.1 200 OK\r\n\r\nbody")
        wire.finished = True
        match end:
            case "close_notify":
                wire.close()
            case "fin":
                await asyncio.sleep(0.05)
                wire.send_fin()
            case "reset":
                await asyncio.sleep(0.05)
                wire.reset()
        await wire.finish()

    async with (
        secure_upstream(authority, script=script) as server,
        gateway(server.url, service=trusting(authority)) as proxy,
    ):
        wire = await connect(proxy.address.port)
        wire.send(GET)
        await wire.head()
        if end == "close_notify":
            assert await wire.chunked() == (b"body", b"")
            wire.close()
        else:
            await wire.finish()
            assert wire.was_reset
        await eventually(lambda: pool_of(proxy).open == len(proxy.clients) == 0)


async def test_a_connection_that_closed_while_idle_is_replaced(authority: Authority) -> None:
    async def once(wire: Wire) -> None:
        await wire.message()
        wire.send(OK)
        wire.finished = True
        wire.close()

    async with (
        secure_upstream(authority, script=once) as server,
        gateway(server.url, service=trusting(authority)) as proxy,
    ):
        for _ in range(5):
            assert (await ask(proxy)).body == b"ok"
        await eventually(lambda: pool_of(proxy).open == 0)


async def test_websockets_through_a_secure_upstream(authority: Authority) -> None:
    async def echo(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    context = authority.server(authority.issue("127.0.0.1"))
    async with serve(echo, "127.0.0.1", 0, ssl=context, max_size=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with gateway(f"https://127.0.0.1:{port}", service=trusting(authority)) as proxy:
            async with websocket(f"ws://{proxy.address}/ws", max_size=None, proxy=None) as client:
                for message in ("hello", b"x" * 2_000_000):
                    await client.send(message)
                    assert await client.recv() == message
            await eventually(lambda: pool_of(proxy).open == 0)


async def test_a_new_authority_is_believed_from_the_next_connection_on(
    authority: Authority,
) -> None:
    other = Authority(authority.folder / "other")
    async with secure_upstream(other) as server:
        running = config(server.url, service=trusting(authority))
        async with gateway(server.url, service=trusting(authority)) as proxy:
            assert (await ask(proxy)).status == 502
            await proxy.reload(running)
            before = pool_of(proxy)
            assert before is pool_of(proxy), "nothing has changed"
            await proxy.reload(config(server.url, service=trusting(other)))
            assert (await ask(proxy)).body == b"ok"
            assert pool_of(proxy) is not before
            await proxy.reload(running)
            assert (await ask(proxy)).status == 502, "no old connection is used"


async def test_files_of_a_service_are_read_again_when_they_change(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uaitools.proxy.tls.material._CHECK_SECONDS", 0.0)
    other = Authority(authority.folder / "other")
    limits = {"connections": 4}
    async with secure_upstream(other) as server:
        settings = {**trusting(authority), "limits": limits, "breaker": {"connect_errors": 100}}
        async with gateway(server.url, service=settings) as proxy:
            assert (await ask(proxy)).status == 502
            authority.file.write_text("broken")
            assert (await ask(proxy)).status == 502
            authority.file.write_bytes(other.ca.cert_pem.bytes())
            assert (await ask(proxy)).body == b"ok"


async def test_http_and_https_endpoints_may_stand_side_by_side(authority: Authority) -> None:
    async with (
        secure_upstream(authority) as one,
        answering() as other,
        gateway(one.url, other.url, service=trusting(authority)) as proxy,
    ):
        for _ in range(4):
            assert (await ask(proxy)).body == b"ok"
        assert len(one.wires) == len(other.wires) == 1
        assert set(proxy.services) == {SERVICE}
