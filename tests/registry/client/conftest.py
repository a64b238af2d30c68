import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest

from tests.peers.loops import LOOPS, leaves_nothing
from tests.peers.registry import RegistryPeer, registry_peer


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return LOOPS


@pytest.fixture(autouse=True)
async def _leaves_nothing() -> AsyncIterator[None]:
    async for _ in leaves_nothing():
        yield


@pytest.fixture
async def registry(_leaves_nothing: None) -> AsyncIterator[RegistryPeer]:
    async with registry_peer() as peer:
        yield peer
