"""Roles: one owns the tables, the other works with them and is bound by row-level security.

PostgreSQL lets superusers, roles with BYPASSRLS and, unless a table says FORCE, its owner see all
rows. The service is none of these: it connects as, or becomes, SERVICE_ROLE.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import asyncpg

from uaitools.postgres.errors import RoleError

if TYPE_CHECKING:
    from uaitools.postgres.access import Connection

OWNER_ROLE: Final = "uaitools_owner"  # of an embedded cluster; elsewhere it is who the URL names
SERVICE_ROLE: Final = "uaitools_service"
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,40}")
_ROLE: Final = """
SELECT rolsuper OR rolbypassrls AS free,
       rolname = current_user AS itself,
       pg_has_role(oid, current_user, 'USAGE') AS inherits
FROM pg_roles WHERE rolname = $1
"""


def checked(name: str) -> str:
    """A name for a schema or a database, which can be used unquoted. Raises ValueError."""
    if not _NAME.fullmatch(name) or name == "public" or name.startswith("pg_"):
        raise ValueError(f"{name!r} is no name for a database's schema")
    return name


async def provide_embedded(connection: Connection, name: str) -> None:
    """Make both roles and the database `name`, as the superuser of a cluster of our own."""
    for role in (OWNER_ROLE, SERVICE_ROLE):
        if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role):
            await connection.execute(f"CREATE ROLE {role} LOGIN")
    if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
        await connection.execute(f"CREATE DATABASE {checked(name)} OWNER {OWNER_ROLE}")


async def provide_extensions(connection: Connection) -> None:
    """Make the extensions that only a superuser can, where the installation has them."""
    known = "SELECT 1 FROM pg_available_extensions WHERE name = 'vector'"
    if await connection.fetchval(known):
        await connection.execute("CREATE EXTENSION IF NOT EXISTS vector")


async def provide_role(connection: Connection) -> None:
    """Make the service's role, and make it one that we can become. Raises RoleError."""
    try:
        if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", SERVICE_ROLE):
            async with connection.transaction():
                await connection.execute(f"CREATE ROLE {SERVICE_ROLE} NOLOGIN")
        if not await _can_become(connection):
            async with connection.transaction():
                await connection.execute(f"GRANT {SERVICE_ROLE} TO CURRENT_USER")
            if not await _can_become(connection):
                raise RoleError(await _advice(connection, "the grant is without SET"))
    except asyncpg.DuplicateObjectError:  # made by somebody else at this moment
        await provide_role(connection)
    except (asyncpg.InsufficientPrivilegeError, asyncpg.FeatureNotSupportedError) as error:
        raise RoleError(await _advice(connection, str(error))) from error
    await _check(connection)


async def provide_schema(connection: Connection, name: str) -> None:
    """Make the schema `name`, whose tables the service may work with. Raises RoleError."""
    schema = checked(name)
    try:
        async with connection.transaction():
            if not await connection.fetchval("SELECT 1 FROM pg_namespace WHERE nspname = $1", name):
                await connection.execute(f"CREATE SCHEMA {schema}")
            await connection.execute(
                f"""
                GRANT USAGE ON SCHEMA {schema} TO {SERVICE_ROLE};
                ALTER DEFAULT PRIVILEGES IN SCHEMA {schema}
                    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {SERVICE_ROLE};
                ALTER DEFAULT PRIVILEGES IN SCHEMA {schema}
                    GRANT USAGE, SELECT ON SEQUENCES TO {SERVICE_ROLE};
                GRANT SELECT, INSERT, UPDATE, DELETE
                    ON ALL TABLES IN SCHEMA {schema} TO {SERVICE_ROLE};
                GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {schema} TO {SERVICE_ROLE};
                """
            )
    except asyncpg.InsufficientPrivilegeError as error:
        who = await connection.fetchval("SELECT quote_ident(current_user)")
        raise RoleError(
            f"schema {schema} cannot be made or is not ours ({error}). "
            "An administrator of the database runs:\n"
            f"    CREATE SCHEMA IF NOT EXISTS {schema};\n"
            f"    ALTER SCHEMA {schema} OWNER TO {who};"
        ) from error


async def _can_become(connection: Connection) -> bool:
    """Whether SET ROLE works, which versions of PostgreSQL decide by different rules."""
    try:
        async with connection.transaction():
            await connection.execute(f"SET LOCAL ROLE {SERVICE_ROLE}")
    except asyncpg.InsufficientPrivilegeError:
        return False
    return True


async def _check(connection: Connection) -> None:
    """See that row-level security binds the service's role. Raises RoleError."""
    row = await connection.fetchrow(_ROLE, SERVICE_ROLE)
    assert row is not None
    reason = ""
    if row["free"]:
        reason = f"ALTER ROLE {SERVICE_ROLE} NOSUPERUSER NOBYPASSRLS;"
    elif row["itself"]:
        reason = "the database_url names that role itself; name the owner of the tables"
    elif row["inherits"]:
        who = await connection.fetchval("SELECT quote_ident(current_user)")
        reason = f"REVOKE {who} FROM {SERVICE_ROLE};"
    if reason:
        raise RoleError(
            f"row-level security does not bind the role {SERVICE_ROLE}, as which the service "
            f"works. An administrator of the database runs: {reason}"
        )


async def _advice(connection: Connection, reason: str) -> str:
    who = await connection.fetchval("SELECT quote_ident(current_user)")
    return (
        f"the service works as the role {SERVICE_ROLE}, which row-level security binds and which "
        f"{who} can neither make nor become ({reason}). An administrator of the database runs:\n"
        f"    CREATE ROLE {SERVICE_ROLE} NOLOGIN;  -- unless there is one\n"
        f"    GRANT {SERVICE_ROLE} TO {who};"
    )
