"""What concerns sockets holds on both event loops, and leaves nothing behind."""

from collections.abc import AsyncIterator

import pytest

from tests.peers.hub import HubPeer, hub_peer
from tests.peers.loops import _leaves_nothing, pytest_asyncio_loop_factories  # noqa: F401 - for pytest


@pytest.fixture
async def peer() -> AsyncIterator[HubPeer]:
    async with hub_peer() as running:
        yield running
