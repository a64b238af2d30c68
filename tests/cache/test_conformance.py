import pytest

from tests.cache.conformance import PROMISES, Promise
from tests.peers.redis import RedisServer
from uaitools.cache.local import LocalCache
from uaitools.cache.redis import RedisCache

each = pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)


@each
async def test_in_this_process(promise: Promise) -> None:
    await promise(LocalCache(1 << 20, 100))


@each
async def test_in_redis(promise: Promise, redis: RedisServer) -> None:
    cache = RedisCache(redis.url, "conformance", timeout=5)
    await promise(cache)
    await cache.stop()
