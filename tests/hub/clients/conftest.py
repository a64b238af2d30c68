"""What concerns sockets holds on both event loops, and leaves nothing behind.

Real hubs are tried on that of our programs.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest

from tests.peers.hub import HubPeer, hub_peer
from tests.peers.loops import _leaves_nothing, loops_of  # noqa: F401 - for pytest


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """For pytest-asyncio."""
    return loops_of(item, both={"test_client.py"})


@pytest.fixture
async def peer() -> AsyncIterator[HubPeer]:
    async with hub_peer() as running:
        yield running
