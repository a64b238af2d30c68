"""Gateways under test: in process, on a free port, with little patience."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from tests.peers.wire import Message, connect
from uaitools.proxy.config import ProxyConfig
from uaitools.proxy.gateway import Gateway
from uaitools.proxy.pool import Pool
from uaitools.proxy.service import Service

SERVICE = "api"
GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"


def config(
    *endpoints: str | Mapping[str, object],
    service: Mapping[str, object] | None = None,
    routes: list[dict[str, object]] | None = None,
    **settings: object,
) -> ProxyConfig:
    """A configuration with one service for `/`; nothing is tried twice unless `service` says so."""
    return ProxyConfig.model_validate(
        {
            "listen": "127.0.0.1:0",
            "services": {
                SERVICE: {"endpoints": list(endpoints), "retry": {"tries": 1}, **(service or {})}
            },
            "routes": routes or [{"path": "/", "service": SERVICE}],
            **settings,
        }
    )


@contextlib.asynccontextmanager
async def gateway(
    *endpoints: str | Mapping[str, object], app: Any = None, **settings: Any
) -> AsyncIterator[Gateway]:
    """A running gateway in front of `endpoints`; see `config`."""
    async with Gateway(config(*endpoints, **settings), app=app) as running:
        yield running


def service_of(running: Gateway) -> Service:
    return running.services[SERVICE]


def pool_of(running: Gateway, index: int = 0) -> Pool:
    """The pool of one endpoint."""
    return list(service_of(running).pools.values())[index]


async def eventually(
    condition: Callable[[], object], patience: float = 10.0, interval: float = 0.005
) -> None:
    """Poll an observable until it holds."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "it did not become true"
        await asyncio.sleep(interval)


async def steady(read: Callable[[], int], within: int = 0, every: float = 0.1) -> int:
    """Poll a number until it no longer changes by more than `within`."""
    before = read()
    for _ in range(100):
        await asyncio.sleep(every)
        now = read()
        if abs(now - before) <= within:
            return now
        before = now
    raise AssertionError("it did not become steady")


async def settled(condition: Callable[[], Awaitable[bool]], patience: float = 10.0) -> None:
    """As `eventually`, for a condition that has to be awaited."""
    deadline = time.monotonic() + patience
    while not await condition():
        assert time.monotonic() < deadline, "it did not become true"
        await asyncio.sleep(0.005)


async def ask(proxy: Gateway, raw: bytes = GET) -> Message:
    """One request on a connection of its own."""
    wire = await connect(proxy.address.port)
    wire.send(raw)
    answered = await wire.message()
    wire.close()
    return answered
