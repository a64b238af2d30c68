"""Everything at once: no answer ever reaches another request, and nothing is left at the end."""

import asyncio
import random

import pytest

from tests.peers.gateways import eventually, gateway, service_of
from tests.peers.scripted import Scripted
from tests.peers.wire import Message, Wire, connect

CLIENTS = 40
TURNS = 12


async def in_pieces(wire: Wire, data: bytes, chance: random.Random) -> None:
    """Send `data` cut at random places, other tasks running in between."""
    while data and not wire.lost:
        size = chance.choice((1, 7, 100, 5000, len(data)))
        wire.send(data[:size])
        data = data[size:]
        if chance.random() < 0.5:
            await asyncio.sleep(0)
            await wire.flush()


def echoing(chance: random.Random) -> Scripted:
    """Answers with the request's id and body, framed in every way; closes when it likes."""

    async def script(wire: Wire) -> None:
        while not wire.ended:
            request = await wire.message()
            body = request["x-id"] + b" " + request.body
            kind = chance.choice(("length", "chunked", "close", "bad"))
            head = b"HTTP/1.1 200 OK\r\n"
            if chance.random() < 0.1:
                head = b"HTTP/1.1 103 Early Hints\r\n\r\n" + head
            if kind == "length":
                raw = b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body)
            elif kind == "chunked":
                half = len(body) // 2 + 1
                pieces = [piece for piece in (body[:half], body[half:]) if piece]
                chunks = b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in pieces)
                raw = b"%bTransfer-Encoding: chunked\r\n\r\n%b0\r\n\r\n" % (head, chunks)
            elif kind == "close":
                raw = head + b"\r\n" + body
            else:
                raw = chance.choice((b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nX", b""))
            await in_pieces(wire, raw, chance)
            if kind == "close":
                wire.send_eof()
                return
            if kind == "bad":
                wire.reset()
                return
            if chance.random() < 0.2:
                wire.close()
                return

    return Scripted(script)


def request(identity: bytes, chance: random.Random) -> tuple[bytes, bytes]:
    """A request and what its answer has to be; of a native one, nothing."""
    body = chance.randbytes(chance.choice((0, 1, 1000, 100_000)))
    kind = chance.choice(("GET", "length", "chunked", "HEALTH"))
    head = b"/x HTTP/1.1\r\nHost: a\r\nX-Id: %b\r\n" % identity
    if kind == "HEALTH":
        return b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n", b""
    if kind == "GET":
        return b"GET %b\r\n" % head, identity + b" "
    expected = identity + b" " + body
    if kind == "length":
        return b"PUT %bContent-Length: %d\r\n\r\n%b" % (head, len(body), body), expected
    chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
    return b"PUT %bTransfer-Encoding: chunked\r\n\r\n%b0\r\n\r\n" % (head, chunk), expected


async def next_answer(wire: Wire) -> Message:
    while (answered := await wire.message()).status < 200:
        pass
    return answered


async def client(port: int, number: int, chance: random.Random, statuses: list[int]) -> None:
    """Pipelines requests in batches and checks that each answer is its own."""
    for turn in range(TURNS):
        wire = await connect(port)
        batch = [
            request(b"%d-%d-%d" % (number, turn, place), chance)
            for place in range(chance.randint(1, 6))
        ]
        sending = b"".join(raw for raw, _ in batch)
        leaves = chance.random() < 0.2
        await in_pieces(wire, sending[: len(sending) // 2] if leaves else sending, chance)
        if leaves:
            wire.reset()
            continue
        try:
            for _, expected in batch:
                answered = await next_answer(wire)
                statuses.append(answered.status)
                if answered.status != 200:
                    assert answered.status in (502, 503)
                elif not expected:
                    assert b'"service":"proxy"' in answered.body
                elif answered.body != expected:  # no assert: it would explain all these bytes
                    pytest.fail(f"{answered.body[:20]!r} for {expected[:20]!r}")
        except EOFError:
            # An answer that broke off, or a body that was refused early: the connection is over.
            if not wire.ended:
                raise
        wire.close()


@pytest.mark.parametrize("seed", range(4))
async def test_answers_stay_with_their_requests_whatever_breaks(seed: int) -> None:
    chance = random.Random(seed)
    one, two = echoing(chance), echoing(chance)
    await one.start()
    await two.start()
    settings = {
        "limits": {"connections": 8, "pending": 1000},
        "retry": {"tries": 2},
        "breaker": {"failures": 100_000, "connect_errors": 100_000, "minimum": 100_000},
    }
    statuses: list[int] = []
    async with gateway(one.url, two.url, service=settings) as proxy:
        await asyncio.gather(
            *(client(proxy.address.port, number, chance, statuses) for number in range(CLIENTS))
        )
        await eventually(lambda: len(proxy.clients) == 0)
        pools = service_of(proxy).pools
        await eventually(lambda: all(pool.open == len(pool.idle) for pool in pools.values()))
        await eventually(lambda: [pool.open for pool in pools.values()] == [one.open, two.open])
        assert [endpoint.in_flight for endpoint in pools] == [0, 0]
        assert not any(pool.waiters for pool in pools.values())
        assert all(pool.open <= 8 for pool in pools.values())
        assert statuses.count(200) > len(statuses) // 2
    await one.stop()
    await two.stop()
    assert not one.failures + two.failures
