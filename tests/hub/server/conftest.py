"""A hub that serves, with sockets of its own and with aiohttp's, on both event loops."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.hub.server.served import Served, served
from tests.peers.loops import _leaves_nothing, pytest_asyncio_loop_factories  # noqa: F401 - for pytest
from uaitools.hub.config import Mode


@pytest.fixture(params=["native", "aiohttp"])
def mode(request: pytest.FixtureRequest) -> Mode:
    found: Mode = request.param
    return found


@pytest.fixture
async def hub(mode: Mode) -> AsyncIterator[Served]:
    async with served(mode=mode) as one:
        yield one
