"""A database that an operator names: whatever role it is, row-level security binds the service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest

from tests.peers.postgres import KINDS, PostgresServer, running
from uaitools.postgres.database import Database, open_database
from uaitools.postgres.errors import DatabaseAway, RoleError, SetupError
from uaitools.postgres.roles import checked

TABLE = """
CREATE TABLE notes (id int, user_id text);
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON notes USING (user_id = current_setting('app.who', true));
INSERT INTO notes VALUES (1, 'ann'), (2, 'bob');
"""


@pytest.fixture(scope="module", params=KINDS)
def bare(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PostgresServer]:
    """A server of our own, in which nobody has made a role yet."""
    with running(request.param, tmp_path_factory.mktemp("bare")) as server:
        yield server


@pytest.fixture
async def admin(bare: PostgresServer) -> AsyncIterator[Any]:
    connection = await bare.connect()
    yield connection
    for (database,) in await connection.fetch(
        "SELECT datname FROM pg_database WHERE datname LIKE 'app%'"
    ):
        await connection.execute(f"DROP DATABASE {database} WITH (FORCE)")
    for (role,) in await connection.fetch(
        "SELECT rolname FROM pg_roles WHERE rolname ~ '^(app|uaitools)'"
    ):
        await connection.execute(f"DROP ROLE {role}")
    await connection.close()


async def url_of(bare: PostgresServer, admin: Any, rights: str = "", owns: bool = True) -> str:
    """The URL of a new role with some rights, and of a new database, which it may own."""
    name = f"app_{uuid4().hex[:8]}"
    await admin.execute(f"CREATE ROLE {name} LOGIN {rights}")
    await admin.execute(f"CREATE DATABASE {name} {f'OWNER {name}' if owns else ''}")
    return bare.url(name, name)


async def opened(url: str) -> Database:
    return await open_database(url, Path("/nonexistent"), "memory")


async def by_administrator(bare: PostgresServer, url: str, error: RoleError) -> None:
    """Run what an error tells an administrator to run."""
    lines = [line for line in str(error).splitlines() if line.startswith("    ")]
    assert lines
    connection = await bare.connect(urlsplit(url).path[1:])
    await connection.execute("\n".join(lines))
    await connection.close()


async def check_bound(database: Database) -> None:
    """The owner sees all rows, and the service one user's."""
    owner = await database.owner.connect()
    await owner.execute(TABLE)
    assert await owner.fetchval("SELECT count(*) FROM notes") == 2
    assert await owner.fetchval("SELECT to_regclass('memory.notes') IS NOT NULL")
    await owner.close()
    uncached = {**database.service.arguments, "statement_cache_size": 0}  # DISCARD ends those, too
    service = await replace(database.service, arguments=uncached).connect()
    try:
        for undone in ("SELECT 1", "RESET ALL", "DISCARD ALL", "RESET ROLE"):
            await service.execute(undone)
            assert await service.fetchval("SELECT current_user") == "uaitools_service"
            await service.execute("SET app.who = 'ann'")
            assert [row["id"] for row in await service.fetch("SELECT id FROM notes")] == [1]
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await service.execute("ALTER TABLE notes DISABLE ROW LEVEL SECURITY")
    finally:
        await service.close()


@pytest.mark.parametrize("rights", ["SUPERUSER", "CREATEROLE"])
async def test_who_may_make_roles_makes_the_services(
    bare: PostgresServer, admin: Any, rights: str
) -> None:
    url = await url_of(bare, admin, rights)
    await check_bound(await opened(url))
    role = await admin.fetchrow("SELECT * FROM pg_roles WHERE rolname = 'uaitools_service'")
    assert (role["rolcanlogin"], role["rolsuper"], role["rolbypassrls"]) == (False, False, False)
    await opened(url)  # another time all is there


async def test_who_may_not_make_roles_is_told_what_an_administrator_runs(
    bare: PostgresServer, admin: Any
) -> None:
    url = await url_of(bare, admin)
    with pytest.raises(RoleError, match="uaitools_service") as raised:
        await opened(url)
    await by_administrator(bare, url, raised.value)

    await check_bound(await opened(url))


async def test_a_schema_that_cannot_be_made_is_asked_of_an_administrator(
    bare: PostgresServer, admin: Any
) -> None:
    url = await url_of(bare, admin, "CREATEROLE", owns=False)
    with pytest.raises(RoleError, match="schema memory") as raised:
        await opened(url)
    await by_administrator(bare, url, raised.value)

    await check_bound(await opened(url))


@pytest.mark.parametrize("rights", ["SUPERUSER", "BYPASSRLS"])
async def test_a_service_role_that_sees_everything_is_refused(
    bare: PostgresServer, admin: Any, rights: str
) -> None:
    url = await url_of(bare, admin, "SUPERUSER")
    await admin.execute(f"CREATE ROLE uaitools_service {rights}")
    with pytest.raises(RoleError, match="NOSUPERUSER NOBYPASSRLS"):
        await opened(url)


async def test_a_service_role_with_the_rights_of_the_owner_is_refused(
    bare: PostgresServer, admin: Any
) -> None:
    url = await url_of(bare, admin)
    owner = url.removeprefix("postgresql://").split("@")[0]
    await admin.execute(f"CREATE ROLE uaitools_service ROLE {owner}")
    await admin.execute(f"REVOKE uaitools_service FROM {owner}")
    await admin.execute(f"GRANT {owner} TO uaitools_service")
    with pytest.raises(RoleError):
        await opened(url)


async def test_a_url_of_the_service_role_itself_is_refused(
    bare: PostgresServer, admin: Any
) -> None:
    await admin.execute("CREATE ROLE uaitools_service LOGIN")
    await admin.execute("CREATE DATABASE app_own OWNER uaitools_service")
    with pytest.raises(RoleError, match="names that role itself"):
        await opened(bare.url("app_own", "uaitools_service"))


async def test_components_share_a_database_and_keep_apart_in_it(
    bare: PostgresServer, admin: Any
) -> None:
    url = await url_of(bare, admin, "CREATEROLE")
    names = ["memory", "insight"]
    both = await asyncio.gather(*(open_database(url, Path("/x"), name) for name in names))
    for database in both:
        owner = await database.owner.connect()
        await owner.execute("CREATE TABLE same (x int)")
        await owner.close()

    service = await both[1].service.connect()
    assert await service.fetchval("SELECT current_schema()") == "insight"
    await service.execute("INSERT INTO same VALUES (1)")
    assert await service.fetchval("SELECT count(*) FROM memory.same") == 0
    await service.close()


async def test_a_url_that_leads_nowhere_says_so_without_its_password(
    bare: PostgresServer, tmp_path: Path
) -> None:
    socket = bare.server.sockets
    for url, kind in (
        (f"postgresql://postgres:secret@/none?host={socket}&port=5432", SetupError),
        (f"postgresql://none:secret@/postgres?host={socket}&port=5432", SetupError),
        ("mysql://none:secret@host/postgres", SetupError),
        (f"postgresql://postgres:secret@/postgres?host={tmp_path}&port=5432", DatabaseAway),
    ):
        with pytest.raises(kind) as raised:
            await opened(url)
        assert "secret" not in str(raised.value)


@pytest.mark.parametrize("name", ["", "Memory", "a b", "public", "pg_x", 'a"; DROP', "1a"])
def test_names_that_need_quotes_are_none(name: str) -> None:
    with pytest.raises(ValueError, match="no name"):
        checked(name)
