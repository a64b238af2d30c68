"""The service as its clients see it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.insight.api.served import Served, serving
from tests.peers.postgres import PostgresServer, folder_of_run, running
from tests.peers.redis import RedisServer, redis_server
from uaitools.insight.store.opening import Store


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """The embedded one: what the store says to each kind is tried there."""
    with running("embedded", folder_of_run(tmp_path_factory)) as server:
        yield server


@pytest.fixture
async def insight(store: Store, tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(store, tmp_path) as one:
        yield one


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    async with redis_server(tmp_path) as server:
        yield server
