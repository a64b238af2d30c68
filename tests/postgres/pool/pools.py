"""Pools under test, with a clock of ours."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from uaitools.postgres.access import Access
from uaitools.postgres.database import Database
from uaitools.postgres.pool import Pool
from uaitools.postgres.pool_settings import PoolSettings


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def pool_of(
    database: Database | Access, clock: Clock | None = None, **settings: Any
) -> AsyncIterator[Pool]:
    access = database if isinstance(database, Access) else database.service
    wanted = PoolSettings(**{"size": 2, "grace": 0.05, **settings})
    pool = Pool(access, wanted, name="memory", clock=clock or Clock())
    await pool.start()
    try:
        yield pool
    finally:
        await pool.stop()


async def pid_of(pool: Pool) -> int:
    async with pool.acquire() as connection:
        return connection.get_server_pid()


def counts(pool: Pool) -> dict[str, object]:
    assert all(sample.labels == (("pool", "memory"),) for sample in pool.samples())
    return {s.family.name.removeprefix("postgres_"): s.value for s in pool.samples()}


async def query_of(admin: Any, pid: int) -> str | None:
    """What a session does, or did last."""
    query: str | None = await admin.fetchval(
        "SELECT query FROM pg_stat_activity WHERE pid = $1", pid
    )
    return query
