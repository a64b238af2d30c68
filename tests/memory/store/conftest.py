"""The store on a PostgreSQL of each kind, each test in a database of its own."""

from collections.abc import AsyncIterator

import pytest

from tests.peers.postgres import PostgresServer, fresh_database, postgres  # noqa: F401 - for pytest
from uaitools.memory.service import MIGRATIONS
from uaitools.memory.store.scope import Scopes
from uaitools.postgres.database import Database
from uaitools.postgres.pool import Pool


@pytest.fixture
async def database(postgres: PostgresServer) -> AsyncIterator[Database]:  # noqa: F811
    async with fresh_database(postgres, migrations=MIGRATIONS) as made:
        yield made


@pytest.fixture
async def scopes(database: Database) -> AsyncIterator[Scopes]:
    pool = Pool(database.service, name="memory")
    await pool.start()
    yield Scopes(pool)
    await pool.stop()
