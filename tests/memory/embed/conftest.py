"""What concerns sockets holds on both event loops, and leaves nothing behind."""

from collections.abc import AsyncIterator

import pytest

from tests.memory.embed.server import EmbeddingServer
from tests.peers.loops import _leaves_nothing, pytest_asyncio_loop_factories  # noqa: F401 - for pytest


@pytest.fixture
async def server() -> AsyncIterator[EmbeddingServer]:
    async with EmbeddingServer() as running:
        yield running
