"""Who is silent, who is slow, who comes when there is no room, and how a node ends."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from tests.hub.server.served import Served, served
from tests.peers.gateways import eventually
from uaitools.hub.budget import resident
from uaitools.hub.config import Mode
from uaitools.hub.sockets import handover
from uaitools.tasks import spawn

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SUBSCRIBE = b'{"id":1,"type":"subscribe","channel":"a"}'


@contextlib.asynccontextmanager
async def raw(hub: Served) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection that answers nothing by itself, and has subscribed to `a`."""
    address = hub.server.address
    reader, writer = await asyncio.open_connection(address.host, address.port, limit=1 << 16)
    writer.write(UPGRADE + bytes((0x81, 0x80 | len(SUBSCRIBE))) + bytes(4) + SUBSCRIBE)
    try:
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        await reader.readuntil(b'"recovered":null}')
        yield reader, writer
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def test_who_is_silent_is_pinged_and_then_disconnected(mode: Mode) -> None:
    async with served(mode=mode, ping=0.5, patience=0.5) as hub, raw(hub) as (reader, _):
        got = await asyncio.wait_for(reader.read(), 10)
        assert got.startswith(b"\x89\x00")
        assert b"\x88" in got  # a close frame
        assert (4006).to_bytes(2, "big") in got


async def test_who_answers_pings_stays(mode: Mode) -> None:
    async with served(mode=mode, ping=0.2, patience=0.5) as hub, hub.client() as client:
        hearing = spawn(client.socket.receive(), name="hear")  # it answers pings
        await eventually(lambda: hub.server.hub.sweep.pings >= 3)
        assert not hearing.done()
        hearing.cancel()
        await asyncio.wait({hearing})


async def _stuck(hub: Served, count: int, size: int) -> None:
    """Publish to `a`, so much that who does not read is left behind."""
    for number in range(count):
        await hub.publish("a", {"number": number, "text": "x" * size})


async def _read_on(reader: asyncio.StreamReader, until: bytes) -> bytes:
    found = b""
    while until not in found:
        piece = await asyncio.wait_for(reader.read(1 << 20), 20)
        assert piece, found[-300:]
        found += piece
    return found


@pytest.mark.parametrize("slow", ["resume", "drop_old", "latest", "drop_new"])
async def test_a_slow_reader_gets_what_his_channels_policy_says(mode: Mode, slow: str) -> None:
    rules = [{"match": "*", "slow": slow, "history": 100, "backlog": 5}]
    async with served(mode=mode, channels=rules) as hub, raw(hub) as (reader, _):
        await _stuck(hub, 800, 16_000)
        [lagging] = hub.server.hub.sessions
        await eventually(lambda: lagging.lag > 200)
        got = _read_on(reader, b'"data":"last"')
        reading = spawn(got, name="read on")
        await eventually(lambda: lagging.lag == 0)
        await hub.publish("a", "last")
        text = await reading
        kept = {"resume": 100, "drop_old": 5, "latest": 1, "drop_new": 0}[slow]
        assert text.count(b'"type":"gap"') == 1
        gap = text.index(b'"type":"gap"')
        first, last = _numbers(text[gap : gap + 100])
        assert last == 800 - kept
        offsets = [_number(part) for part in text.split(b'"offset":')[1:]]
        assert offsets == [*range(1, first), *range(last + 1, 802)]


def _numbers(gap: bytes) -> tuple[int, int]:
    return _number(gap.split(b'"from":')[1]), _number(gap.split(b'"to":')[1])


def _number(text: bytes) -> int:
    digits = bytes(one for one in text[:12].split(b",")[0].split(b"}")[0])
    return int(digits)


async def test_a_slow_reader_may_be_disconnected(mode: Mode) -> None:
    rules = [{"match": "*", "slow": "disconnect", "history": 100}]
    async with served(mode=mode, channels=rules) as hub, raw(hub):
        await _stuck(hub, 800, 16_000)
        await eventually(lambda: len(hub.server.hub.sessions) == 0)
        assert hub.server.hub.closed[4007] == 1


async def test_replies_wait_for_who_reads_slowly_and_are_not_dropped(mode: Mode) -> None:
    async with served(mode=mode, rate=100_000, burst=100_000) as hub, raw(hub) as (reader, writer):
        for _ in range(30):
            await hub.publish("b", "x" * 10_000)
        command = b'{"id":%d,"type":"history","channel":"b"}'
        for number in range(60):
            text = command % number
            writer.write(bytes((0x81, 0x80 | len(text))) + bytes(4) + text)
        found = b""
        while b'{"id":59,' not in found[-400_000:]:
            found += await asyncio.wait_for(reader.read(1 << 16), 20)
        assert [_number(part) for part in found.split(b'{"id":')[1:]] == list(range(60))
        assert hub.server.hub.closed == {}


async def test_who_asks_on_and_reads_no_replies_goes(mode: Mode) -> None:
    async with served(mode=mode, rate=100_000, burst=60) as hub, raw(hub) as (_, writer):
        for _ in range(20):
            await hub.publish("b", "x" * 10_000)
        command = b'{"id":1,"type":"history","channel":"b"}'
        frame = bytes((0x81, 0x80 | len(command))) + bytes(4) + command
        for _ in range(400):
            writer.write(frame)
            await asyncio.sleep(0.005)
            if not len(hub.server.hub.sessions):
                break
        await eventually(lambda: len(hub.server.hub.sessions) == 0)
        assert set(hub.server.hub.closed) == {4005}


async def test_a_node_that_stops_spreads_its_clients(mode: Mode) -> None:
    async with served(mode=mode, reconnects=10) as hub, contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(hub.client()) for _ in range(8)]
        loop = asyncio.get_running_loop()
        draining = spawn(hub.server.drain(loop.time() + 20), name="drain")
        notices = [await client.hear() for client in clients]
        assert {one["type"] for one in notices} == {"reconnect"}
        delays = sorted(one["after_ms"] for one in notices)
        assert delays[0] < 600
        assert all(80 <= b - a <= 120 for a, b in itertools.pairwise(delays))
        health = await hub.ask("GET", "/health")
        assert (health.status, health.body["status"]) == (503, "draining")
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            async with hub.client():
                pass
        assert (caught.value.status, "Retry-After" in (caught.value.headers or {})) == (503, True)
        # They still get everything, and then they are told to go.
        await clients[0].say(type="ping")
        assert (await clients[0].hear())["type"] == "pong"
        ended: list[Any] = await asyncio.gather(*(client.ended() for client in clients))
        assert ended == [1001] * 8
        await draining


async def test_there_is_no_room_above_the_budget(mode: Mode) -> None:
    async with served(mode=mode) as hub, hub.client() as client:
        budget = hub.server.hub.budget
        budget.limit = int(resident() / 0.9)
        await eventually(lambda: budget.full)
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            async with hub.client():
                pass
        assert caught.value.status == 503
        assert "Retry-After" in (caught.value.headers or {})
        assert (await client.ask("ping"))["type"] == "pong"
        budget.limit = None
        async with hub.client():
            pass


async def test_the_laggards_go_when_memory_runs_out(mode: Mode) -> None:
    async with served(mode=mode) as hub, raw(hub), hub.client() as client:
        await _stuck(hub, 800, 16_000)
        await eventually(lambda: max(one.lag for one in hub.server.hub.sessions) > 200)
        hub.server.hub.budget.limit = resident() // 2
        await eventually(lambda: len(hub.server.hub.sessions) == 1)
        assert hub.server.hub.closed[4008] == 1
        assert (await client.ask("ping"))["type"] == "pong"


async def test_joins_and_leaves_are_told_together(mode: Mode) -> None:
    rules = [{"match": "room", "joins": True}]
    async with served(mode=mode, channels=rules) as hub, hub.client() as client:
        await client.subscribe("room")
        notice = await client.hear()
        assert notice == {
            "type": "presence",
            "channel": "room",
            "joined": ["anonymous"],
            "left": [],
            "users": 1,
        }


async def test_without_what_it_needs_of_aiohttp_a_hub_says_so_and_takes_aiohttps_sockets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(handover, "_NEEDED", ("_something_that_it_has_no_more",))
    with capture_logs() as logs:
        async with served() as hub, hub.client() as client:
            assert (await client.ask("ping"))["type"] == "pong"
            [found] = (await hub.ask("GET", "/connections")).body["page"]
    assert found["kind"] == "aiohttp"
    [said] = [one for one in logs if one["log_level"] == "error"]
    assert "_something_that_it_has_no_more" in said["reason"]


async def test_pongs_do_not_pile_up_for_one_who_does_not_read(mode: Mode) -> None:
    async with served(mode=mode) as hub, raw(hub) as (_, writer):
        [session] = hub.server.hub.sessions
        ping = bytes((0x89, 0x80 | 125)) + bytes(4) + b"x" * 125
        for _ in range(400):
            writer.write(ping * 200)
            if writer.transport.get_write_buffer_size() > 1_000_000:
                break  # it is not read any more
            await asyncio.sleep(0)
        await asyncio.sleep(0.3)
        assert session.socket.kept < 1_000_000


async def test_a_stream_whose_client_goes_is_no_error() -> None:
    async with served() as hub:
        async with hub.session.get(f"{hub.url}/v1/sse?channel=a") as response:
            await response.content.readuntil(b"\n\n")
        async with asyncio.timeout(10):
            while True:
                text = (await hub.ask("GET", "/metrics")).body
                found = [one for one in text.splitlines() if b"/v1/sse" in one]
                if found:
                    break
                await asyncio.sleep(0.02)
        assert [one for one in found if b'status="5' in one] == []
        assert [one for one in found if b"duration" in one] == []


async def test_what_was_said_before_a_connection_ended_is_done(mode: Mode) -> None:
    async with served(mode=mode) as hub:
        async with hub.client() as client:
            for number in range(40):
                await client.say(type="publish", channel="a", data=number)
        await eventually(lambda: not hub.server.hub.sessions)
        kept = await hub.ask("GET", "/v1/history/a")
        assert [one["data"] for one in kept.body["messages"]] == list(range(40))


async def test_what_waits_to_be_done_for_a_client_is_bounded_in_bytes(mode: Mode) -> None:
    async with served(mode=mode, largest=2_000, burst=60, rate=1_000) as hub:
        going = asyncio.Event()

        async def wait(_session: object, _data: object) -> None:
            await going.wait()

        hub.server.hub.command("wait")(wait)
        async with hub.client() as client:
            for _ in range(15):
                await client.say(type="wait", data="x" * 1_900)
            refused = {(await client.hear())["code"] for _ in range(5)}
            assert refused == {"too_many"}
            [seen] = (await hub.ask("GET", "/connections")).body["page"]
            assert 8_000 < seen["bytes_kept"] < 18_000
            going.set()


async def test_workers_share_the_pace_of_a_drain() -> None:
    async with served(workers=4, reconnects=40) as hub, contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(hub.client()) for _ in range(11)]
        deadline = asyncio.get_running_loop().time() + 30
        draining = spawn(hub.server.drain(deadline), name="drain")
        told = [(await client.hear())["after_ms"] for client in clients]
        assert 950 < max(told) - min(told) <= 1_000  # ten a second: the others have the rest
        for client in clients:
            await client.socket.close()
        await draining


async def test_a_hub_that_stops_waits_for_no_command_of_who_has_gone(mode: Mode) -> None:
    started = asyncio.Event()

    async def wait(_session: object, _data: object) -> None:
        started.set()
        await asyncio.Event().wait()

    async with served(mode=mode) as hub:
        hub.server.hub.command("wait")(wait)
        async with hub.client() as client:
            await client.say(type="wait")
            await started.wait()
        async with hub.client() as staying:
            started.clear()
            await staying.say(type="wait")
            await started.wait()
            assert len(hub.server.hub.sessions) == 2
            stopping = spawn(hub.server.hub.stop(), name="stop")
            assert await staying.ended() == 1001
            await stopping
        assert not hub.server.hub.sessions
