from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.peers.loops import _leaves_nothing, pytest_asyncio_loop_factories  # noqa: F401 - for pytest
from tests.peers.redis import RedisServer, redis_server


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    async with redis_server(tmp_path) as server:
        yield server
