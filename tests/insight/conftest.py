"""On the loop of our programs, and nothing left behind."""

import asyncio
from collections.abc import Callable, Mapping

import pytest

from tests.peers.loops import _leaves_nothing, loops_of  # noqa: F401 - for pytest


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """For pytest-asyncio."""
    return loops_of(item, both=set())
