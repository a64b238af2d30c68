from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.peers.loops import _leaves_nothing, pytest_asyncio_loop_factories  # noqa: F401 - for pytest
from uaitools.registry.checks.session import check_session


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with check_session() as open_session:
        yield open_session
