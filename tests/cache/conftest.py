"""A Redis for each test that wants one, on both event loops, and nothing left behind."""

from tests.peers.loops import _leaves_nothing, pytest_asyncio_loop_factories  # noqa: F401 - for pytest
from tests.registry.store.conftest import redis  # noqa: F401 - for pytest
