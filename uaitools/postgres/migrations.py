"""The tables of a database, brought up to what a program expects: numbered files of SQL.

`0001_memories.sql`, `0002_...`: each is applied once, in the order of their numbers, in one
transaction with its line in `schema_migrations`. A file that has been applied never changes.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, Final

import asyncpg

from uaitools.log import get_logger
from uaitools.postgres.errors import MigrationError

if TYPE_CHECKING:
    from uaitools.postgres.access import Connection

_log = get_logger(__name__)
_NAME: Final = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
# Of this house in any database: programs that share one take turns.
LOCK: Final = 0x7561_6974_6F6F_6C73
_TABLE: Final = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version integer PRIMARY KEY,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: its number and name, and what it holds."""

    version: int
    name: str
    sql: str = field(repr=False)

    @property
    def checksum(self) -> str:
        """SHA-256 of the text; line ends count as one, however they were stored."""
        return sha256(self.sql.encode()).hexdigest()

    def __str__(self) -> str:
        return f"{self.version:04}_{self.name}.sql"


def read(package: str) -> list[Migration]:
    """The migrations in a package, in order. Raises MigrationError when a number is missing."""
    found = []
    for file in files(package).iterdir():
        if named := _NAME.fullmatch(file.name):
            sql = file.read_text(encoding="utf-8").replace("\r\n", "\n")
            found.append(Migration(int(named[1]), named[2], sql))
        elif file.name.endswith(".sql"):
            raise MigrationError(f"{file.name} in {package} is not named like 0001_name.sql")
    found.sort(key=lambda one: one.version)
    for number, one in enumerate(found, 1):
        if one.version != number:
            wrong = f"{number:04} is missing" if one.version > number else f"{one} comes twice"
            raise MigrationError(f"the migrations in {package} are not complete: {wrong}")
    return found


async def migrate(connection: Connection, migrations: Sequence[Migration]) -> list[Migration]:
    """Apply what has not been applied, and return that. Programs that start together take turns.

    The tables are made where the connection's search_path says. Raises MigrationError.
    """
    async with locked(connection):
        try:
            await connection.execute(_TABLE)
            rows = await connection.fetch("SELECT version, name, checksum FROM schema_migrations")
        except asyncpg.PostgresError as error:
            raise MigrationError(f"schema_migrations cannot be read or made: {error}") from error
        pending = outstanding(migrations, {row["version"]: row["checksum"] for row in rows})
        for one in pending:
            await _apply(connection, one)
    return pending


def outstanding(migrations: Sequence[Migration], applied: Mapping[int, str]) -> list[Migration]:
    """What is still to be applied where these checksums have been. Raises MigrationError."""
    newest = max(applied, default=0)
    if newest > len(migrations):
        raise MigrationError(
            f"the database is at version {newest} and this program knows {len(migrations)}: "
            "it was changed by a newer one; install that"
        )
    for one in migrations[:newest]:
        if one.version not in applied:
            raise MigrationError(
                f"the database is at version {newest}, but {one} was never applied; "
                "restore it from a backup"
            )
        if applied[one.version] != one.checksum:
            raise MigrationError(
                f"{one} is not what was applied to the database; "
                "put the file back, and make the change in a new one"
            )
    return list(migrations[newest:])


@asynccontextmanager
async def locked(connection: Connection) -> AsyncIterator[None]:
    """Keep other programs of this house from changing the database's structure."""
    if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK):
        _log.info("another program migrates the database; waiting for it")
        await connection.execute(f"SELECT pg_advisory_lock({LOCK})")
    try:
        yield
    finally:
        if not connection.is_closed():  # with which the lock would have gone
            await connection.execute(f"SELECT pg_advisory_unlock({LOCK})")


async def _apply(connection: Connection, one: Migration) -> None:
    try:
        async with connection.transaction():
            await connection.execute(one.sql)
            await connection.execute(
                "INSERT INTO schema_migrations (version, name, checksum) VALUES ($1, $2, $3)",
                *(one.version, one.name, one.checksum),
            )
    except asyncpg.PostgresError as error:
        raise MigrationError(f"{one} failed and was undone: {error}") from error
    _log.info("migration applied", migration=str(one))
