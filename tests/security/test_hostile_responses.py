"""Hostile responses: a 502 or an aborted connection, and never a second use of the connection."""

import pytest

from tests.peers.gateways import eventually, gateway, pool_of
from tests.peers.scripted import Script, answer, answering, upstream
from tests.peers.wire import Wire, connect
from tests.security.responses import BODIES, EXCESS, HEADS, SPLIT, Bad

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
NEXT = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"
HEALTH = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"
GOOD = answer(b"good")


def first_is(bad: Bad) -> Script:
    """The first connection gets the bad response, all others a good one each time."""
    served: list[Wire] = []

    async def script(wire: Wire) -> None:
        served.append(wire)
        while not wire.ended:
            await wire.head()
            if wire is not served[0]:
                wire.send(GOOD)
                continue
            wire.send(bad.raw)
            if bad.closes:
                wire.send_eof()
                return

    return script


@pytest.mark.parametrize("bad", HEADS, ids=str)
@pytest.mark.parametrize("before", [b"", HEALTH], ids=["alone", "behind a native request"])
async def test_a_bad_head_is_a_502_and_its_connection_is_not_used_again(
    bad: Bad, before: bytes
) -> None:
    async with upstream(first_is(bad)) as server, gateway(server.url) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(before + GET)
        if before:
            assert (await wire.message()).status == 200
        while (answered := await wire.message()).status < 200:
            assert b"smuggled" not in answered.start
        assert answered.status == 502
        assert b"smuggled" not in wire.received
        wire.send(NEXT)
        assert (await wire.message()).body == b"good"
        wire.close()
        assert b"/next" not in server.wires[0].received
        await server.wires[0].finish()
        await eventually(lambda: server.open == pool_of(proxy).open)


@pytest.mark.parametrize("bad", BODIES, ids=str)
async def test_a_bad_body_never_looks_whole(bad: Bad) -> None:
    async with upstream(first_is(bad)) as server, gateway(server.url) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(GET)
        try:
            answered = await wire.message()
        except (EOFError, AssertionError, ValueError):
            await wire.finish()
            assert wire.was_reset
        else:
            assert answered.status == 502
            wire.close()
        assert b"smuggled" not in wire.received
        wire = await connect(proxy.address.port)
        wire.send(NEXT)
        assert (await wire.message()).body == b"good"
        wire.close()
        assert b"/next" not in server.wires[0].received
        await server.wires[0].finish()
        await eventually(lambda: server.open == pool_of(proxy).open == 1)


@pytest.mark.parametrize("bad", BODIES, ids=str)
async def test_a_bad_body_behind_a_relayed_head_resets_the_client(bad: Bad) -> None:
    head, end, body = bad.raw.partition(b"\r\n\r\n")

    async def script(wire: Wire) -> None:
        await wire.head()
        wire.send(head + end)
        await client.until(lambda: b"\r\n\r\n" in client.received)
        wire.send(body)
        if bad.closes:
            wire.send_eof()

    async with upstream(script) as server, gateway(server.url) as proxy:
        client = await connect(proxy.address.port)
        client.send(GET)
        assert (await client.head()).status == 200
        await client.finish()
        assert client.was_reset
        assert b"smuggled" not in client.received
        assert b"\r\n0\r\n" not in client.received
        await server.wires[0].finish()
        await eventually(lambda: pool_of(proxy).open == 0)


@pytest.mark.parametrize("bad", EXCESS, ids=str)
async def test_bytes_behind_a_response_are_dropped_with_their_connection(bad: Bad) -> None:
    async with upstream(first_is(bad)) as server, gateway(server.url) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(GET)
        while (answered := await wire.message()).status < 200:
            pass
        assert answered.body in (b"ok", b"")
        wire.send(NEXT)
        assert (await wire.message()).body == b"good"
        assert b"smuggled" not in wire.received
        wire.close()
        assert b"/next" not in server.wires[0].received
        await server.wires[0].finish()
        await eventually(lambda: server.open == pool_of(proxy).open == 1)


@pytest.mark.parametrize("raw", [SPLIT, b"x", b"\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"])
async def test_an_unsolicited_response_discards_the_idle_connection(raw: bytes) -> None:
    async with answering(GOOD) as server, gateway(server.url) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(GET)
        assert (await wire.message()).body == b"good"
        await eventually(lambda: len(pool_of(proxy).idle) == 1)
        server.wires[0].send(raw)
        await eventually(lambda: pool_of(proxy).open == 0)
        wire.send(NEXT)
        assert (await wire.message()).body == b"good"
        wire.close()
        assert len(server.wires) == 2
        assert b"smuggled" not in wire.received


async def test_the_answer_to_head_has_no_body_even_if_the_upstream_sends_one() -> None:
    async with answering(answer(b"smuggled"), GOOD) as server, gateway(server.url) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(b"HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n")
        answered = await wire.message(to="HEAD")
        assert answered["content-length"] == b"8"
        wire.send(NEXT)
        assert (await wire.message()).body == b"good"
        wire.close()
        assert b"smuggled" not in wire.received
        assert len(server.wires) == 2


async def test_hop_by_hop_and_own_fields_of_a_response_are_not_relayed() -> None:
    lines = (
        b"Connection: keep-alive, X-Private\r\nX-Private: smuggled\r\nKeep-Alive: timeout=5\r\n"
        b"Proxy-Authenticate: smuggled\r\nUpgrade: smuggled\r\nTE: smuggled\r\n"
        b"Proxy-Connection: smuggled\r\nTrailer: X-T\r\nX-Request-Id: smuggled\r\n"
        b"X-Public: kept\r\n"
    )
    async with answering(answer(headers=lines)) as server, gateway(server.url) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(GET)
        answered = await wire.message()
        wire.close()
        assert b"smuggled" not in wire.received
        assert answered["x-public"] == b"kept"
        assert "connection" not in answered
        assert "trailer" not in answered
        assert len(answered["x-request-id"]) == 32
