"""Services that share a database and, where there is one, a Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from tests.memory.api.served import Answer, Served, Visitor, serving
from tests.peers.postgres import PostgresServer, fresh_database
from tests.peers.redis import RedisServer
from tests.peers.relay import Relay
from uaitools.memory.service import MIGRATIONS


@asynccontextmanager
async def sharing(
    postgres: PostgresServer,
    *ways: RedisServer | Relay | None,
    timeout: float = 2.0,  # noqa: ASYNC109 - of a round trip to Redis
    **settings: Any,
) -> AsyncIterator[list[Served]]:
    """A service for each way to Redis; None has none."""
    settings = {"cache": {"timeout": timeout, "pause": 0.05}, **settings}
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(fresh_database(postgres, migrations=MIGRATIONS))
        several = []
        for way in ways:
            url = None if way is None else f"redis://127.0.0.1:{way.port}/0"
            one = serving(database, redis_url=url, **settings)
            several.append(await stack.enter_async_context(one))
        yield several


async def get(memory: Visitor, name: str, user: str = "ann") -> Answer:
    """GET of one, which does not count."""
    return await memory.ask("GET", f"/memories/{name}?user_id={user}&touch=false")


async def unaware(memory: Served) -> None:
    """From now on it does not learn what others have changed."""
    await memory.service.notices.stop()
    await memory.service.paying.stop()


def counted(memory: Served, name: str) -> float:
    """What its cache counts under a name; 0 of what only Redis has."""
    samples = memory.service.cache.samples()
    value = next((one.value for one in samples if one.family.name == name), 0)
    assert isinstance(value, int | float)
    return value
