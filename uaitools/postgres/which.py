"""Which database it is, for whoever keeps copies of its rows elsewhere."""

from __future__ import annotations

from typing import Final

from uaitools.postgres.pool import Pool

# Of a cluster's files, and the database within it.
_WHICH: Final = """
    SELECT system_identifier || '/' || oid FROM pg_control_system(), pg_database
    WHERE datname = current_database()
"""


async def which(pool: Pool) -> str:
    """A name of the database: no other one, were it a copy of this, is called the same."""
    async with pool.acquire() as connection:
        name: str = await connection.fetchval(_WHICH)
    return name
