import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest

from tests.peers.loops import LOOPS, leaves_nothing
from tests.registry.served import Served, served


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return LOOPS


@pytest.fixture(autouse=True)
async def _leaves_nothing() -> AsyncIterator[None]:
    async for _ in leaves_nothing():
        yield


@pytest.fixture
async def registry() -> AsyncIterator[Served]:
    async with served() as running:
        yield running
