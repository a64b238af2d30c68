"""Both stores do what every store has to do."""

from pathlib import Path

import pytest

from tests.peers.redis import RedisServer
from tests.registry.store.conformance import CHECKS
from tests.registry.store.grounds import OnDisk, OnRedis


@pytest.mark.parametrize("number", range(len(CHECKS)), ids=[c.__name__ for c in CHECKS])
async def test_on_disk(number: int, tmp_path: Path) -> None:
    ground = OnDisk(tmp_path)
    try:
        await CHECKS[number](ground)
    finally:
        await ground.close()


@pytest.mark.parametrize("number", range(len(CHECKS)), ids=[c.__name__ for c in CHECKS])
async def test_on_redis(number: int, redis: RedisServer) -> None:
    ground = OnRedis(redis)
    try:
        await CHECKS[number](ground)
    finally:
        await ground.close()
