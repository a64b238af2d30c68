"""New certificates while clients come and go: nobody notices but by the certificate."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from tests.peers.gateways import config, eventually
from tests.peers.scripted import answering
from tests.peers.tls import NAME, Authority, names, secure, tls_gateway
from tests.peers.wire import Wire
from uaitools.tasks import spawn

GET = b"GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n"


async def ask(wire: Wire) -> None:
    wire.send(GET)
    assert (await wire.message()).body == b"ok"


async def test_new_files_every_few_milliseconds_fail_no_handshake_and_cut_no_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uaitools.proxy.tls.certificates.INTERVAL", 0.002)
    authority = Authority(tmp_path)
    files = authority.issue(NAME)
    done = asyncio.Event()
    counts = [0, 0, 0, 0]

    async def rewrite() -> None:
        while not done.is_set():
            authority.write(files, NAME)
            await asyncio.sleep(0.004)

    async def come_and_go(client: int) -> None:
        while not done.is_set():
            wire = await secure(proxy.address.port, authority.client())
            await ask(wire)
            wire.close()
            await wire.finish()
            counts[client] += 1

    async with answering() as server, tls_gateway(server.url, authority, files) as proxy:
        assert proxy.front is not None
        staying = await secure(proxy.address.port, authority.client())
        rewriting = spawn(rewrite(), name="rewrite")
        clients = [spawn(come_and_go(index), name="client") for index in range(len(counts))]
        while proxy.front.certificates.reloads < 50 or min(counts) < 10:
            await ask(staying)
            assert not any(client.done() for client in clients)
        done.set()
        await asyncio.gather(rewriting, *clients)
        assert proxy.handshake_failures == {}
        staying.close()
        await eventually(lambda: len(proxy.clients) == 0)


async def test_connections_keep_the_certificate_they_began_with(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    files = authority.issue("old.test")
    context = authority.client()
    context.check_hostname = False
    async with answering() as server, tls_gateway(server.url, authority, files) as proxy:
        assert proxy.front is not None
        old = await secure(proxy.address.port, context)
        authority.write(files, "new.test")
        await proxy.front.certificates.refresh()
        new = await secure(proxy.address.port, context)
        assert (names(old), names(new)) == ({"old.test"}, {"new.test"})
        for wire in (old, new):
            await ask(wire)
            wire.close()
            await wire.finish()


async def test_a_reload_of_the_configuration_swaps_certificates_and_hsts(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    other = authority.issue("other.test")
    context = authority.client()
    context.check_hostname = False
    async with answering() as server, tls_gateway(server.url, authority) as proxy:
        old = await secure(proxy.address.port, context)
        tls = {"certificates": [other.settings], "hsts": "max-age=60"}
        await proxy.reload(config(server.url, tls=tls))
        new = await secure(proxy.address.port, context)
        assert names(new) == {"other.test"}
        for wire in (old, new):
            wire.send(GET)
            assert (await wire.message())["strict-transport-security"] == b"max-age=60"
        broken = {"certificates": [{"cert": "/no/such", "key": "/no/such"}]}
        await proxy.reload(config(server.url, tls=broken))
        third = await secure(proxy.address.port, context)
        assert names(third) == {"other.test"}, "the old ones stay"
        await proxy.reload(config(server.url))
        fourth = await secure(proxy.address.port, context)
        assert names(fourth) == {"other.test"}, "a listener does not stop to speak TLS"
        fourth.send(GET)
        await fourth.message()
        assert server.requests[-1]["x-forwarded-proto"] == b"https"
        for wire in (old, new, third, fourth):
            wire.close()
            await wire.finish()


async def test_new_authorities_for_clients_hold_from_the_next_handshake_on(
    tmp_path: Path,
) -> None:
    authority = Authority(tmp_path)
    before, after = Authority(tmp_path / "before"), Authority(tmp_path / "after")
    client_ca = tmp_path / "client-ca.pem"
    client_ca.write_bytes(before.ca.cert_pem.bytes())
    context = authority.client(after.issue("robot.test"))
    async with (
        answering() as server,
        tls_gateway(
            server.url, authority, client_ca=str(client_ca), client_auth="required"
        ) as proxy,
    ):
        assert proxy.front is not None

        async def passes() -> bool:
            with contextlib.suppress(OSError, EOFError):
                wire = await secure(proxy.address.port, context)
                wire.send(GET)
                message = await wire.message()
                wire.close()
                await wire.finish()
                return message.body == b"ok"
            return False

        assert not await passes()
        client_ca.write_bytes(after.ca.cert_pem.bytes())
        await proxy.front.certificates.refresh()
        assert await passes()
        await eventually(lambda: len(proxy.clients) == 0)
