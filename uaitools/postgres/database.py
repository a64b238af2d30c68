"""The database of a component: where an operator says, or in an embedded cluster."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import asyncpg

from uaitools.postgres.access import Access
from uaitools.postgres.embedded.cluster import Cluster
from uaitools.postgres.embedded.keeper import Keeper
from uaitools.postgres.embedded.server import PORT, Server
from uaitools.postgres.errors import DatabaseAway, SetupError
from uaitools.postgres.migrations import Migration, locked, migrate, read
from uaitools.postgres.roles import (
    OWNER_ROLE,
    SERVICE_ROLE,
    checked,
    provide_embedded,
    provide_extensions,
    provide_role,
    provide_schema,
)

if TYPE_CHECKING:
    from uaitools.postgres.access import Connection

_SUPERUSER: Final = "postgres"  # of embedded clusters
# A client whose machine is gone is found out within a minute, not after hours, and what it holds
# is free again.
_KEEPALIVE: Final = {
    "tcp_keepalives_idle": "30s",
    "tcp_keepalives_interval": "10s",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "60s",
}


class Database:
    """Where a component keeps its tables: in the schema of its name.

    owner: for migrations. service: for all else; row-level security binds it, and the structure
    of the database it cannot change.
    """

    def __init__(
        self, name: str, owner: Access, service: Access, keeper: Keeper | None = None
    ) -> None:
        self.name = name
        self.owner = owner
        self.service = service
        self._keeper = keeper

    def __repr__(self) -> str:
        return f"<Database {self.name} {'external' if self._keeper is None else 'embedded'}>"

    async def migrate(self, package: str) -> list[Migration]:
        """Apply the migrations of a package; those that were still to be. Raises MigrationError."""
        migrations = read(package)
        async with self.owned() as connection:
            return await migrate(connection, migrations)

    @asynccontextmanager
    async def owned(self) -> AsyncIterator[Connection]:
        """A connection of the owner's, for what a start makes. Raises DatabaseAway, SetupError."""
        async with _connected(self.owner, self.name) as connection:
            yield connection

    async def close(self) -> None:
        """Let go of it; the last to do so stops an embedded cluster."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            await keeper.stop()


async def open_database(url: str | None, data_dir: Path, name: str) -> Database:
    """The database of the component `name`; without a URL an embedded one below `data_dir`.

    Its schema and the service's role are there when this returns; tables are made by `migrate`.
    Raises SetupError with what an administrator has to do, and DatabaseAway.
    """
    checked(name)
    if url is not None:
        return await _open_external(url, name)
    keeper = Keeper(Cluster(data_dir))
    server = await keeper.start()
    try:
        return await open_embedded(server, name, keeper)
    except BaseException:
        await keeper.stop()
        raise


async def open_embedded(
    server: Server, name: str, keeper: Keeper | None = None, database: str = ""
) -> Database:
    """The database of the component `name` in a cluster of our own. database: unless its name."""
    database = database or name
    cluster = _local(server, _SUPERUSER, "postgres")
    async with _connected(cluster, name) as connection, locked(connection):
        await provide_embedded(connection, database)
    everything = _local(server, _SUPERUSER, database)
    async with _connected(everything, name) as connection, locked(connection):
        await provide_extensions(connection)
    settings = _settings(name)
    owner = _local(server, OWNER_ROLE, database).told(settings)
    async with _connected(owner, name) as connection, locked(connection):
        await provide_schema(connection, name)
    return Database(name, owner, _local(server, SERVICE_ROLE, database).told(settings), keeper)


async def _open_external(url: str, name: str) -> Database:
    owner = Access({"dsn": url}, _settings(name))
    async with _connected(owner, name) as connection, locked(connection):
        await provide_role(connection)
        await provide_schema(connection, name)
    # A startup setting, and not SET ROLE: RESET ALL and DISCARD ALL come back to it.
    return Database(name, owner, owner.told({"role": SERVICE_ROLE}))


def _local(server: Server, user: str, database: str) -> Access:
    return Access({"host": str(server.sockets), "port": PORT, "user": user, "database": database})


def _settings(name: str) -> dict[str, str]:
    return {"search_path": f"{name}, public", "timezone": "UTC", **_KEEPALIVE}


@asynccontextmanager
async def _connected(access: Access, name: str) -> AsyncIterator[Connection]:
    """A connection for the start. Raises DatabaseAway, and SetupError where it is refused."""
    try:
        connection = await access.connect()
    except (
        asyncpg.InvalidAuthorizationSpecificationError,
        asyncpg.InvalidCatalogNameError,
        asyncpg.InsufficientPrivilegeError,
        ValueError,
    ) as error:
        raise SetupError(f"database_url does not lead into a database: {error}") from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
        raise DatabaseAway(name, f"cannot be reached ({error})") from error
    try:
        yield connection
    finally:
        connection.terminate()
