"""What caches are filled from, and services that share a Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from tests.peers.gateways import eventually
from tests.peers.redis import RedisServer
from tests.peers.relay import Relay
from uaitools.cache.redis import RedisCache
from uaitools.cache.service import CacheService
from uaitools.tasks import spawn

TTL: Final = 60.0


class Source:
    """Where values are loaded from: each load waits until it is answered."""

    def __init__(self) -> None:
        self.loads: list[asyncio.Future[bytes]] = []

    async def __call__(self) -> bytes:
        load: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.loads.append(load)
        return await load


def always(value: bytes) -> Callable[[], Awaitable[bytes]]:
    async def load() -> bytes:
        return value

    return load


async def never() -> bytes:
    raise AssertionError("it was to be found")


@asynccontextmanager
async def services(
    *ways: RedisServer | Relay, patience: float = 0.25
) -> AsyncIterator[list[CacheService]]:
    async with AsyncExitStack() as stack:
        several = []
        for way in ways:
            url = f"redis://127.0.0.1:{way.port}/0"
            cache = CacheService(RedisCache(url, "c", timeout=patience, pause=0.05), "c")
            stack.push_async_callback(cache.stop)
            several.append(cache)
        yield several


def counted(cache: CacheService, name: str) -> float:
    (value,) = (one.value for one in cache.samples() if one.family.name == name)
    assert isinstance(value, int | float)
    return value


async def back(cache: CacheService) -> None:
    await eventually(lambda: not cache.failing)


async def loading(cache: CacheService, source: Source, key: str = "k") -> asyncio.Task[bytes]:
    before = len(source.loads)
    task = spawn(cache.fetch(key, source, TTL), name="fetches")
    await eventually(lambda: len(source.loads) > before)
    return task
