"""The service as its clients see it."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.memory.api.served import Served, served
from tests.peers.postgres import PostgresServer, folder_of_run, running


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """The embedded one: what the store says to each kind is tried there."""
    with running("embedded", folder_of_run(tmp_path_factory)) as server:
        yield server


@pytest.fixture
async def memory(postgres: PostgresServer) -> AsyncIterator[Served]:
    async with served(postgres) as one:
        yield one
