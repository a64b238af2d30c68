"""A service, as assistants reach it over HTTP."""

from tests.memory.api.conftest import memory, postgres  # noqa: F401 - for pytest
from tests.registry.store.conftest import redis  # noqa: F401 - for pytest
