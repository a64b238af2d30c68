"""A hub that serves, with sockets of its own and with aiohttp's.

The protocol is tried on both event loops, the rest on the one that the program has.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest

from tests.hub.server.served import Served, served
from tests.peers.loops import LOOPS, _leaves_nothing  # noqa: F401 - for pytest
from uaitools.hub.config import Mode


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """For pytest-asyncio."""
    return LOOPS if item.path.name == "test_protocol.py" else {"uvloop": LOOPS["uvloop"]}


@pytest.fixture(params=["native", "aiohttp"])
def mode(request: pytest.FixtureRequest) -> Mode:
    found: Mode = request.param
    return found


@pytest.fixture
async def hub(mode: Mode) -> AsyncIterator[Served]:
    async with served(mode=mode) as one:
        yield one
