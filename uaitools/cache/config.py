"""A `[cache]` table within a component's."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from uaitools.cache.local import LocalCache
from uaitools.cache.port import Backend
from uaitools.cache.service import LARGEST, CacheService
from uaitools.config import Model


class CacheConfig(Model):
    """How a component caches.

    size: bytes of the process's memory, and entries: how many values, where there is no Redis.
    largest: bytes of a value that is kept. timeout: seconds for a round trip to Redis: what takes
    longer is a miss. pause: seconds between attempts while Redis is away.
    """

    size: Annotated[int, Field(ge=0, le=1 << 36)] = 8 << 20
    entries: Annotated[int, Field(ge=0, le=10_000_000)] = 10_000
    largest: Annotated[int, Field(ge=0, le=1 << 24)] = LARGEST
    timeout: Annotated[float, Field(ge=0.01, le=10)] = 0.25
    pause: Annotated[float, Field(ge=0.05, le=60)] = 1.0

    def cache(self, name: str, redis_url: str | None) -> CacheService:
        """The cache of a component: in Redis, or in this process where there is none."""
        backend: Backend
        if redis_url is None:
            backend = LocalCache(self.size, self.entries)
        else:
            from uaitools.cache.redis import RedisCache  # noqa: PLC0415 - 7 MB

            backend = RedisCache(redis_url, name, timeout=self.timeout, pause=self.pause)
        return CacheService(backend, name, largest=self.largest)
