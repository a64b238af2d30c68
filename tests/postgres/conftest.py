"""A PostgreSQL of each kind, and nothing left behind.

What the pool promises is tried on both event loops, the rest on that of our programs.
"""

import asyncio
from collections.abc import Callable, Mapping

import pytest

from tests.peers.loops import _leaves_nothing, loops_of  # noqa: F401 - for pytest
from tests.peers.postgres import database, postgres  # noqa: F401 - for pytest


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """For pytest-asyncio."""
    return loops_of(item, both={"test_turns.py", "test_ends.py"})
