"""What concerns sockets holds on both event loops, and leaves nothing behind."""

from tests.peers.loops import _leaves_nothing, pytest_asyncio_loop_factories  # noqa: F401 - for pytest
