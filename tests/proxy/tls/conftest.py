import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest

from tests.peers.loops import LOOPS, leaves_nothing


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return LOOPS


@pytest.fixture
async def leaving_nothing() -> AsyncIterator[None]:
    async for _ in leaves_nothing():
        yield
