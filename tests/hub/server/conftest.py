"""A hub that serves, with sockets of its own and with aiohttp's.

The protocol is tried on both event loops, the rest on the one that the program has.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest

from tests.hub.server.served import Served, served
from tests.peers.loops import _leaves_nothing, loops_of  # noqa: F401 - for pytest
from uaitools.hub.config import Mode


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """For pytest-asyncio."""
    return loops_of(item, both={"test_protocol.py"})


@pytest.fixture(params=["native", "aiohttp"])
def mode(request: pytest.FixtureRequest) -> Mode:
    found: Mode = request.param
    return found


@pytest.fixture
async def hub(mode: Mode) -> AsyncIterator[Served]:
    async with served(mode=mode) as one:
        yield one
