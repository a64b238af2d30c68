"""A database for those who want one, and nothing left behind.

What all indexes promise is tried on both event loops, the rest on that of our programs.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping

import pytest

from tests.memory.api.conftest import postgres  # noqa: F401 - for pytest
from tests.memory.index.grounds import InDatabase
from tests.memory.store.conftest import database  # noqa: F401 - for pytest
from tests.peers.loops import _leaves_nothing, loops_of  # noqa: F401 - for pytest
from tests.peers.postgres import PostgresServer, folder_of_run, running
from tests.peers.weaviate.server import WeaviateDouble, weaviate_double
from uaitools.memory.index.config import IndexConfig
from uaitools.postgres.database import Database
from uaitools.postgres.pool import Pool


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """For pytest-asyncio."""
    return loops_of(item, both={"test_conformance.py"})


@pytest.fixture(scope="session")
def plain_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """One without pgvector."""
    with running("debian", folder_of_run(tmp_path_factory)) as server:
        yield server


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:  # noqa: F811
    """Connections of the role that services have: it owns nothing."""
    pool = Pool(database.service, name="memory")
    await pool.start()
    yield pool
    await pool.stop()


@pytest.fixture
def in_database(database: Database, pool: Pool) -> InDatabase:  # noqa: F811
    return InDatabase(database, pool)


@pytest.fixture
async def weaviate() -> AsyncIterator[WeaviateDouble]:
    async with weaviate_double() as double:
        yield double


@pytest.fixture
def real_weaviate() -> IndexConfig:
    """The server that WEAVIATE_URL, WEAVIATE_GRPC and WEAVIATE_KEY lead to."""
    url = os.environ.get("WEAVIATE_URL")
    if url is None:
        pytest.skip("WEAVIATE_URL is not set: nothing was tried on a real Weaviate")
    return IndexConfig.model_validate(
        {
            "weaviate_url": url,
            "weaviate_grpc": os.environ.get("WEAVIATE_GRPC"),
            "weaviate_key": os.environ.get("WEAVIATE_KEY"),
        }
    )
