"""Reloads under load: no request is lost, no tunnel is cut, and nothing is left behind."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

from tests.peers.gateways import config, gateway
from tests.peers.scripted import answering, upstream
from tests.peers.wire import Wire, connect
from uaitools.proxy.gateway import Gateway
from uaitools.tasks import spawn

GET = b"GET /x HTTP/1.1\r\nHost: a\r\nX-Number: %d\r\n\r\n"
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


async def echo(wire: Wire) -> None:
    await wire.head()
    wire.send(SWITCH)
    while not wire.ended:
        wire.send(await wire.read(4))


def settings(number: int, plain: str, tunnels: str) -> Any:
    """A configuration that differs from the one before in every part that a reload swaps."""
    return config(
        plain,
        services={
            "api": {"endpoints": [plain], "limits": {"concurrency": 1000 + number}},
            "ws": {"endpoints": [tunnels]},
        },
        routes=[
            {"path": "/", "service": "api", "limits": [f"{1_000_000 + number}/s"]},
            {"path": "/ws", "service": "ws", "concurrency": 100},
        ],
        rate_limit="1000000/s",
        client={"idle": 60 + number % 2},
    )


async def ask_on(proxy: Gateway, stop: asyncio.Event, answers: list[int]) -> None:
    wire = await connect(proxy.address.port)
    while not stop.is_set():
        wire.send(GET % len(answers))
        answers.append((await wire.message()).status)
    wire.close()


async def test_reloads_under_load_lose_no_request_and_cut_no_tunnel() -> None:
    async with answering() as plain, upstream(echo) as tunnels:
        first = settings(0, plain.url, tunnels.url)
        async with Gateway(first) as proxy:
            tunnel = await connect(proxy.address.port)
            tunnel.send(UPGRADE)
            assert (await tunnel.head()).status == 101
            stop = asyncio.Event()
            answers: list[int] = []
            asking = [spawn(ask_on(proxy, stop, answers), name="ask") for _ in range(8)]
            for number in range(1, 31):
                await proxy.reload(settings(number, plain.url, tunnels.url))
                tunnel.send(b"%04d" % number)
                assert await tunnel.read(4) == b"%04d" % number
                await asyncio.sleep(0.1)
            stop.set()
            await asyncio.gather(*asking)
            tunnel.close()

    assert len(answers) > 100
    assert set(answers) == {200}


async def test_what_a_reload_replaces_is_gone() -> None:
    async with answering() as plain, upstream(echo) as tunnels, gateway() as proxy:
        for number in range(20):
            await proxy.reload(settings(number, plain.url, tunnels.url))
        gc.collect()
        before = len(gc.get_objects())
        for number in range(200):
            await proxy.reload(settings(number, plain.url, tunnels.url))
        gc.collect()
        assert len(gc.get_objects()) < before + 500
