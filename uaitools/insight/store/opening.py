"""The database of repositories: opened, with its tables, and connections to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

from uaitools.insight.errors import SERVICE
from uaitools.log import get_logger
from uaitools.postgres.access import Access
from uaitools.postgres.database import Database, open_database
from uaitools.postgres.pool import Pool
from uaitools.postgres.pool_settings import PoolSettings

_log = get_logger(__name__)
MIGRATIONS: Final = "uaitools.insight.store.migrations"

# What a broad search finds is kept in memory and not on disk, and its plan is made for its words:
# by the index, since reading all words beside their rows costs a hundred times what is reckoned.
_SETTINGS: Final = {
    "work_mem": "32MB",
    "jit": "off",
    "plan_cache_mode": "force_custom_plan",
    "enable_seqscan": "off",
    "pg_trgm.word_similarity_threshold": "0.5",
}
_TIDY: Final = """
    VACUUM (ANALYZE) repositories, names, snapshots, standings, scores, leaders, languages, files
"""


@dataclass(frozen=True, slots=True)
class Store:
    """An open database. pool: for all that `store` and `importing` do."""

    database: Database
    pool: Pool

    async def tidy(self) -> None:
        """Clear away what an import has replaced, and have plans made for what there is now.

        Raises DatabaseAway. Where it cannot be done, the database does it by itself some time.
        """
        async with self.database.owned() as connection:
            try:
                await connection.execute(_TIDY)
            except asyncpg.PostgresError as error:
                _log.warning("the tables cannot be vacuumed", reason=str(error))


def pool_of(access: Access, settings: PoolSettings) -> Pool:
    """Connections as searches need them; to be started."""
    return Pool(access, settings, name=SERVICE, server_settings=_SETTINGS)


@asynccontextmanager
async def open_store(
    url: str | None, data_dir: Path, settings: PoolSettings
) -> AsyncIterator[Store]:
    """The database, its tables up to date; without a URL an embedded one below `data_dir`.

    Raises SetupError and DatabaseAway.
    """
    database = await open_database(url, data_dir, SERVICE)
    try:
        await database.migrate(MIGRATIONS)
        pool = pool_of(database.service, settings)
        await pool.start()
        try:
            yield Store(database, pool)
        finally:
            await pool.stop()
    finally:
        await database.close()
