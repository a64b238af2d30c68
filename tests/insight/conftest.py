"""On the loop of our programs, stores in databases of their own, and nothing left behind."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest

from tests.insight.stores import fresh_store
from tests.peers.loops import _leaves_nothing, loops_of  # noqa: F401 - for pytest
from tests.peers.postgres import PostgresServer, postgres  # noqa: F401 - for pytest
from uaitools.insight.store.opening import Store


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """For pytest-asyncio."""
    return loops_of(item, both=set())


@pytest.fixture
async def store(postgres: PostgresServer) -> AsyncIterator[Store]:  # noqa: F811
    async with fresh_store(postgres) as made:
        yield made
