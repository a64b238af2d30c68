"""A whole request through the data plane, without the kernel: microseconds of Python each.

What a client's bytes pass from Downstream to Upstream and the answer's on the way back, between
two transports that keep nothing. The rest of bench.peers' figure is uvloop and the kernel.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from time import monotonic
from typing import cast

import pytest_asyncio
from pytest_benchmark.fixture import BenchmarkFixture

from bench.micro.messages import BODY, END, REQUEST, RESPONSE, unique_requests
from uaitools.proxy.config import ProxyConfig
from uaitools.proxy.downstream import Downstream
from uaitools.proxy.gateway import Gateway
from uaitools.proxy.upstream import Upstream

CONFIG = {
    "listen": "127.0.0.1:0",
    "services": {"service": {"endpoints": ["http://127.0.0.1:9"]}},
    "routes": [{"path": "/", "service": "service"}],
}
CHUNKED = RESPONSE.replace(b"Content-Length: 133", b"Transfer-Encoding: chunked")
EVENT = b'3d\r\ndata: {"choices":[{"index":0,"delta":{"content":"token"}}]}\n\n\r\n'


class Sink(asyncio.Transport):
    """A transport that counts writes and keeps the last one."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 40_000)})
        self.writes = 0
        self.last = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes += 1
        self.last = bytes(data)

    def is_reading(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        """Nothing to close."""

    def abort(self) -> None:
        """Nothing to end."""

    def get_write_buffer_size(self) -> int:
        return 0


class Bench:
    """One client and one idle upstream connection of a gateway."""

    def __init__(self, gateway: Gateway) -> None:
        (pool,) = gateway.services["service"].pools.values()
        self.client, self.server = Sink(), Sink()
        self.outbox = gateway.outbox
        self.downstream = Downstream(gateway)
        self.downstream.connection_made(self.client)
        self.upstream = Upstream(pool)
        self.upstream.connection_made(self.server)
        self.upstream.served = -(1 << 40)  # it must not retire in the middle
        pool.open += 1
        pool.checkin(self.upstream, monotonic(), 1e9)

    def request(self, data: bytes, answer: bytes) -> None:
        """One request and its answer."""
        self.downstream.data_received(data)
        self.outbox.end_turn()
        self.upstream.data_received(answer)
        self.outbox.end_turn()

    def receive(self, data: bytes) -> None:
        """More of an answer."""
        self.upstream.data_received(data)
        self.outbox.end_turn()


@pytest_asyncio.fixture
async def bench() -> AsyncIterator[Bench]:
    async with Gateway(ProxyConfig.model_validate(CONFIG)) as gateway:
        bench = Bench(gateway)
        yield bench
        for protocol in (bench.downstream, bench.upstream):
            cast("asyncio.Protocol", protocol).connection_lost(None)


async def test_request_with_a_known_head(benchmark: BenchmarkFixture, bench: Bench) -> None:
    benchmark(bench.request, REQUEST + END, RESPONSE + END + BODY)

    assert bench.client.last.endswith(BODY)


async def test_request_with_a_known_head_and_its_line_in_the_access_log(
    benchmark: BenchmarkFixture,
) -> None:
    settings = {"enabled": True, "file": "/dev/null"}
    config = ProxyConfig.model_validate({**CONFIG, "access_log": settings})
    async with Gateway(config) as gateway:
        bench = Bench(gateway)
        benchmark(bench.request, REQUEST + END, RESPONSE + END + BODY)
        for protocol in (bench.downstream, bench.upstream):
            cast("asyncio.Protocol", protocol).connection_lost(None)

    assert bench.client.last.endswith(BODY)


async def test_request_with_a_unique_head(benchmark: BenchmarkFixture, bench: Bench) -> None:
    heads = unique_requests()
    answer = RESPONSE + END + BODY

    benchmark(lambda: bench.request(next(heads) + END, answer))

    assert bench.client.last.endswith(BODY)


async def test_request_with_a_body(benchmark: BenchmarkFixture, bench: Bench) -> None:
    head = REQUEST.replace(b"GET", b"POST") + b"\r\nContent-Length: 133" + END

    benchmark(bench.request, head + BODY, RESPONSE + END + BODY)

    assert bench.server.last.endswith(BODY)


async def test_event_of_a_stream(benchmark: BenchmarkFixture, bench: Bench) -> None:
    bench.request(REQUEST + END, CHUNKED + END)

    benchmark(bench.receive, EVENT)

    assert bench.client.last == EVENT
