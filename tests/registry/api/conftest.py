from collections.abc import AsyncIterator

import pytest

from tests.peers.loops import _leaves_nothing, pytest_asyncio_loop_factories  # noqa: F401 - for pytest
from tests.registry.served import Served, served


@pytest.fixture
async def registry() -> AsyncIterator[Served]:
    async with served() as running:
        yield running
