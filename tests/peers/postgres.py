"""Real PostgreSQL servers for tests: one of a kind for all workers of a run, a database a test.

    embedded    the wheel's 18: pgvector, no pg_trgm
    debian      Debian's 15: no pgvector

In a conftest.py: `from tests.peers.postgres import database, postgres  # noqa: F401 - for pytest`,
and each test that asks for `database` runs on both kinds, in an empty database with the schema and
the roles that components find. `fresh_database` makes one with a component's tables.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import asyncpg
import pytest

from uaitools.postgres.database import Database, open_embedded
from uaitools.postgres.embedded.cluster import Cluster
from uaitools.postgres.embedded.identity import Identity
from uaitools.postgres.embedded.install import Install, from_wheel
from uaitools.postgres.embedded.locks import alone
from uaitools.postgres.embedded.server import PORT, Server
from uaitools.postgres.migrations import LOCK, read

if TYPE_CHECKING:
    from uaitools.postgres.access import Connection

KINDS: Final = ("embedded", "debian")
NAME: Final = "memory"  # of the component for which databases are made
DEBIAN: Final = Path("/usr/lib/postgresql/15")
PATIENCE: Final = 50.0  # seconds for another worker to make the cluster
# Nothing here outlives the run, and each worker has pools of its own.
FAST: Final = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_connections": "400",
    "autovacuum_naptime": "10s",
}


@dataclass(frozen=True)
class PostgresServer:
    """A running server of one kind."""

    kind: str
    server: Server

    @property
    def has_vector(self) -> bool:
        return self.kind == "embedded"

    async def connect(self, database: str = "postgres", user: str = "postgres") -> Connection:
        """A connection, the superuser's unless `user` says so."""
        connection: Connection = await asyncpg.connect(
            host=str(self.server.sockets), port=PORT, user=user, database=database
        )
        return connection

    def url(self, database: str, user: str) -> str:
        """What an operator would set as `database_url`."""
        return f"postgresql://{user}@/{database}?host={self.server.sockets}&port={PORT}"


def install_of(kind: str) -> Install:
    """The programs of a kind; the test is skipped where they are missing."""
    if kind == "embedded":
        return from_wheel()
    if not (DEBIAN / "bin/postgres").exists():
        pytest.skip("PostgreSQL 15 of Debian is not here: apt-get install postgresql-15")
    return Install(15, DEBIAN.parent, DEBIAN.name)


@pytest.fixture(scope="session", params=KINDS)
def postgres(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PostgresServer]:
    """A server that the workers of a run share; the last one stops it."""
    with running(request.param, folder_of_run(tmp_path_factory)) as server:
        yield server


def folder_of_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The temporary directory that all workers of this run have in common."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@contextlib.contextmanager
def running(kind: str, folder: Path) -> Iterator[PostgresServer]:
    """The server of a kind, shared by all who ask for it with the same folder."""
    us = Identity(os.geteuid(), os.getegid())
    note = folder / f"postgres-{kind}"
    with alone(folder / "postgres.lock", us, PATIENCE):
        if not note.exists():
            # Not below `folder`: pytest's directories are root's alone where root runs it.
            place = Path(tempfile.mkdtemp(prefix=f"uaitools-{kind}-"))
            place.chmod(0o755)
            note.write_text(str(place))
        place = Path(note.read_text())
        cluster = Cluster(place, settings=FAST, install=install_of(kind))
        server = cluster.enter()
    try:
        yield PostgresServer(kind, server)
    finally:
        with alone(folder / "postgres.lock", us, PATIENCE):
            if cluster.leave():
                note.unlink()
                shutil.rmtree(place)


@pytest.fixture
async def database(postgres: PostgresServer) -> AsyncIterator[Database]:
    """An empty database."""
    async with fresh_database(postgres) as made:
        yield made


@contextlib.asynccontextmanager
async def fresh_database(
    postgres: PostgresServer, name: str = NAME, migrations: str = ""
) -> AsyncIterator[Database]:
    """A database of a test's own, with the tables that a package of migrations makes.

    The first one to ask has them applied, and what it gets is copied for the others: 20 ms.
    """
    template = await _template(postgres, name, migrations)
    made = f"test_{uuid4().hex}"
    admin = await postgres.connect()
    try:
        # As files: half the work of writing each page to the log, where nothing is synced.
        await admin.execute(
            f"CREATE DATABASE {made} TEMPLATE {template} OWNER uaitools_owner STRATEGY FILE_COPY"
        )
        yield await open_embedded(postgres.server, name, database=made)
    finally:
        await admin.execute(f"DROP DATABASE IF EXISTS {made} WITH (FORCE)")
        await admin.close()


async def _template(postgres: PostgresServer, name: str, migrations: str) -> str:
    """A database that is copied, made by the first worker that needs it."""
    applied = [one.checksum for one in read(migrations)] if migrations else []
    digest = hashlib.sha256(" ".join([name, *applied]).encode()).hexdigest()[:16]
    template = f"template_{digest}"
    admin = await postgres.connect()
    try:
        # Another key than that of migrations, which are applied inside.
        await admin.execute(f"SELECT pg_advisory_lock({LOCK + 1})")
        if not await admin.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", template):
            await admin.execute(f"DROP DATABASE IF EXISTS new_{template} WITH (FORCE)")
            made = await open_embedded(postgres.server, name, database=f"new_{template}")
            if migrations:
                await made.migrate(migrations)
            await _alone(admin, f"new_{template}")
            await admin.execute(f"ALTER DATABASE new_{template} RENAME TO {template}")
    finally:
        await admin.close()
    return template


async def _alone(admin: Connection, database: str) -> None:
    """End what is still connected to a database: sessions end a moment after their connection."""
    await admin.fetch(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1", database
    )
