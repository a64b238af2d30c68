"""A Redis for each test that wants one, and nothing left behind.

What both brokers promise is tried on both event loops, the rest on that of our programs.
"""

import asyncio
from collections.abc import Callable, Mapping

import pytest

from tests.peers.loops import _leaves_nothing, loops_of  # noqa: F401 - for pytest
from tests.registry.store.conftest import redis  # noqa: F401 - for pytest


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """For pytest-asyncio."""
    return loops_of(item, both={"test_conformance.py"})
