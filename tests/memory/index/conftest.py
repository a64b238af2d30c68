"""A database for those who want one, and nothing left behind.

What all indexes promise is tried on both event loops, the rest on that of our programs.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.memory.index.postgres import DEBIAN, cluster, pool_of
from tests.peers.loops import _leaves_nothing, loops_of  # noqa: F401 - for pytest
from tests.peers.weaviate.server import WeaviateDouble, weaviate_double
from uaitools.memory.index.config import IndexConfig
from uaitools.memory.service import MIGRATIONS
from uaitools.postgres.migrations import read


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """For pytest-asyncio."""
    return loops_of(item, both={"test_conformance.py"})


@pytest.fixture(scope="session")
def postgres() -> Iterator[Path]:
    with cluster() as directory:
        asyncio.run(_scoped(directory))
        yield directory


async def _scoped(directory: Path) -> None:
    """Have there what the migrations keep users apart by."""
    async with pool_of(directory) as pool:
        await pool.execute(read(MIGRATIONS)[0].sql)


@pytest.fixture(scope="session")
def plain_postgres() -> Iterator[Path]:
    with cluster(DEBIAN) as directory:
        yield directory


@pytest.fixture
async def pool(postgres: Path) -> AsyncIterator[Any]:
    async with pool_of(postgres) as pool:
        yield pool


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
