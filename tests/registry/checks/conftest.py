import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import aiohttp
import pytest

from tests.peers.loops import LOOPS, leaves_nothing
from uaitools.registry.checks.session import check_session


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return LOOPS


@pytest.fixture(autouse=True)
async def _leaves_nothing() -> AsyncIterator[None]:
    async for _ in leaves_nothing():
        yield


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with check_session() as open_session:
        yield open_session
