"""A Redis that dies, too."""

from tests.registry.store.conftest import redis  # noqa: F401 - for pytest
