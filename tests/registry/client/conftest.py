from collections.abc import AsyncIterator

import pytest

from tests.peers.loops import _leaves_nothing, pytest_asyncio_loop_factories  # noqa: F401 - for pytest
from tests.peers.registry import RegistryPeer, registry_peer


@pytest.fixture
async def registry(_leaves_nothing: None) -> AsyncIterator[RegistryPeer]:  # noqa: F811
    async with registry_peer() as peer:
        yield peer
