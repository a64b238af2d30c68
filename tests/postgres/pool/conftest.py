"""A server of one kind, whose superuser watches and disturbs. Both event loops: see above."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.peers.postgres import PostgresServer, folder_of_run, running


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """One kind is enough: what a pool relies on is asyncpg's, whichever server there is."""
    with running("embedded", folder_of_run(tmp_path_factory)) as server:
        yield server


@pytest.fixture
async def admin(postgres: PostgresServer) -> AsyncIterator[Any]:
    connection = await postgres.connect()
    yield connection
    await connection.close()
