"""Every hostile request gets its status, alone or behind another, and the upstream sees nothing."""

import orjson
import pytest

from tests.peers.gateways import gateway
from tests.peers.scripted import Answering, answering
from tests.peers.wire import Message, Wire, connect
from tests.security.messages import CHUNKS, HEADS, Hostile

HEALTH = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"
ORDINARY = b"GET /ordinary HTTP/1.1\r\nHost: a\r\n\r\n"


async def is_refused(wire: Wire, hostile: Hostile) -> Message:
    """The next answer is the refusal, in the house shape, and the last thing on the connection."""
    answer = await wire.message()
    assert answer.status == hostile.status
    assert answer["connection"] == b"close"
    assert answer["content-type"] == b"application/json"
    error = orjson.loads(answer.body)
    assert error["code"] == hostile.status
    assert error["service"] == "proxy"
    assert error["message"]
    assert error["request_id"].encode() == answer["x-request-id"]
    assert await wire.rest() == b""
    return answer


def saw_no_request(upstream: Answering) -> None:
    assert upstream.requests == []
    assert b"smuggled" not in upstream.received


@pytest.mark.parametrize("hostile", [*HEADS, *CHUNKS], ids=str)
async def test_refused_alone(hostile: Hostile) -> None:
    async with answering() as upstream, gateway(upstream.url) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(hostile.raw)
        await is_refused(wire, hostile)
        wire.close()
        assert upstream.received == b""


@pytest.mark.parametrize("hostile", [*HEADS, *CHUNKS], ids=str)
async def test_refused_behind_a_native_request(hostile: Hostile) -> None:
    async with answering() as upstream, gateway(upstream.url) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(HEALTH)
        assert (await wire.message()).status == 200
        wire.send(hostile.raw)
        await is_refused(wire, hostile)
        wire.close()
        assert upstream.received == b""


@pytest.mark.parametrize("hostile", [*HEADS, *CHUNKS], ids=str)
async def test_refused_pipelined_behind_a_native_request(hostile: Hostile) -> None:
    async with answering() as upstream, gateway(upstream.url) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(HEALTH + hostile.raw)
        assert (await wire.message()).status == 200
        await is_refused(wire, hostile)
        wire.close()
        assert upstream.received == b""


@pytest.mark.parametrize("hostile", [*HEADS, *CHUNKS], ids=str)
async def test_refused_pipelined_behind_a_proxied_request(hostile: Hostile) -> None:
    async with answering() as upstream, gateway(upstream.url) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(ORDINARY + hostile.raw)
        assert (await wire.message()).body == b"ok"
        await is_refused(wire, hostile)
        wire.close()
        assert [request.start for request in upstream.requests] == [b"GET /ordinary HTTP/1.1"]
        assert b"smuggled" not in upstream.received


@pytest.mark.parametrize("hostile", CHUNKS, ids=str)
async def test_bad_chunks_refused_when_the_head_is_at_the_upstream(hostile: Hostile) -> None:
    async with answering() as upstream, gateway(upstream.url) as proxy:
        wire = await connect(proxy.address.port)
        head, end, body = hostile.raw.partition(b"\r\n\r\n")
        wire.send(head + end)
        received = await upstream.accepted()
        await received.until(lambda: received.received.endswith(b"\r\n\r\n"))
        wire.send(body)
        await is_refused(wire, hostile)
        wire.close()
        await received.finish()
        assert b"\r\n0\r\n" not in upstream.received, "the body must not look complete"
        saw_no_request(upstream)


@pytest.mark.parametrize("hostile", [one for one in HEADS + CHUNKS if len(one.raw) < 1000], ids=str)
async def test_refused_byte_by_byte(hostile: Hostile) -> None:
    async with answering() as upstream, gateway(upstream.url) as proxy:
        wire = await connect(proxy.address.port)
        for byte in hostile.raw:
            wire.send(bytes((byte,)))
            await wire.flush()
        await is_refused(wire, hostile)
        wire.close()
        saw_no_request(upstream)


async def test_the_next_connection_is_served_after_every_refusal() -> None:
    async with answering() as upstream, gateway(upstream.url) as proxy:
        for hostile in HEADS + CHUNKS:
            wire = await connect(proxy.address.port)
            wire.send(hostile.raw)
            await is_refused(wire, hostile)
            wire.close()
        wire = await connect(proxy.address.port)
        wire.send(ORDINARY)
        assert (await wire.message()).body == b"ok"
        wire.close()
        assert len(upstream.requests) == 1
