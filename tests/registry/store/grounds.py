"""Where stores are tried: a directory with a clock of ours, a Redis whose shared clock we move."""

from __future__ import annotations

from pathlib import Path

from tests.peers.redis import RedisServer
from uaitools.registry.store.embedded import EmbeddedStore
from uaitools.registry.store.port import Store
from uaitools.registry.store.redis import RedisStore
from uaitools.registry.store.script import PREFIX, SECOND
from uaitools.registry.table import DEFAULTS, TablePolicy


async def advance(redis: RedisServer, *stores: Store, seconds: float) -> None:
    """Let the shared time pass, and have stores notice."""
    await redis.command("HINCRBY", f"{PREFIX}head", "now", str(int(seconds * SECOND)))
    for store in stores:
        await store.beat()


async def judge(redis: RedisServer) -> None:
    """Have leases judged at once, though a registry has come or gone, or Redis was away."""
    await redis.command("HSET", f"{PREFIX}head", "judge", "0")


class OnDisk:
    """Stores with a journal in a directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._now = 1000.0
        self._store: EmbeddedStore | None = None

    async def open(self, policy: TablePolicy = DEFAULTS) -> Store:
        await self.close()
        self._store = EmbeddedStore(self._directory, policy=policy, clock=lambda: self._now)
        await self._store.start()
        return self._store

    async def close(self) -> None:
        if self._store is not None:
            await self._store.stop()

    async def advance(self, seconds: float) -> None:
        assert self._store is not None
        while seconds > 0:
            step = min(seconds, 1.0)
            self._now += step
            seconds -= step
            self._store.now()


class OnRedis:
    """Stores over one server."""

    def __init__(self, server: RedisServer) -> None:
        self._server = server
        self._store: RedisStore | None = None

    async def open(self, policy: TablePolicy = DEFAULTS) -> Store:
        await self.close()
        self._store = RedisStore(self._server.url, policy=policy)
        await self._store.start()
        await judge(self._server)
        return self._store

    async def close(self) -> None:
        if self._store is not None:
            await self._store.stop()

    async def advance(self, seconds: float) -> None:
        assert self._store is not None
        await self._store.beat()
        await advance(self._server, self._store, seconds=seconds)
