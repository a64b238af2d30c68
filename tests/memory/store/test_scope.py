"""Whose rows a statement reaches, whatever it says."""

from __future__ import annotations

import asyncio
from uuid import UUID

import asyncpg
import pytest

from uaitools.memory.errors import Crowded
from uaitools.memory.model import Draft
from uaitools.memory.store.creating import Creating
from uaitools.memory.store.scope import Scopes
from uaitools.postgres.database import Database

TABLES = (
    *("memories", "versions", "embeddings", "outbox", "idempotency_keys"),
    *("departures", "sessions", "messages", "debts"),
)


async def test_a_statement_that_names_no_user_reaches_the_rows_of_one(scopes: Scopes) -> None:
    creating = Creating(scopes)
    for user in ("ann", "bob"):
        await creating.create(Draft(user, f"I am {user}"), key="k")
    async with scopes.of("ann") as connection:
        for table in ("memories", "outbox", "idempotency_keys"):
            users = await connection.fetch(f"SELECT user_id FROM {table}")
            assert [row["user_id"] for row in users] == ["ann"]
        assert await connection.execute("DELETE FROM memories WHERE user_id = 'bob'") == "DELETE 0"
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
            await connection.execute("UPDATE memories SET user_id = 'bob'")
    async with scopes.everyone() as connection:
        assert await connection.fetchval("SELECT count(*) FROM memories") == 2


async def test_without_a_scope_nothing_is_reached_and_nothing_written(database: Database) -> None:
    connection = await database.service.connect()
    try:
        for table in TABLES:
            assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 0
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(
                "INSERT INTO outbox (memory_id, user_id) VALUES (gen_random_uuid(), 'ann')"
            )
    finally:
        await connection.close()


async def test_the_service_is_neither_owner_nor_superuser_and_policies_are_forced(
    scopes: Scopes,
) -> None:
    async with scopes.everyone() as connection:
        role = await connection.fetchrow(
            "SELECT rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user"
        )
        assert role is not None
        assert tuple(role) == (False, False)
        tables = await connection.fetch(
            "SELECT relname, relrowsecurity AND relforcerowsecurity AS forced,"
            " relowner <> (SELECT oid FROM pg_roles WHERE rolname = current_user) AS foreign"
            " FROM pg_class WHERE oid IN (SELECT attrelid FROM pg_attribute"
            "  WHERE attname = 'user_id' AND relnamespace = 'memory'::regnamespace)"
            " AND relkind = 'r'"
        )
        assert {row["relname"] for row in tables} == set(TABLES)
        assert all(row["forced"] and row["foreign"] for row in tables)


async def test_a_scope_of_everyone_ends_with_its_connection(scopes: Scopes) -> None:
    await Creating(scopes).create(Draft("ann", "I am ann"))
    async with scopes.everyone() as connection:
        assert await connection.fetchval("SELECT count(*) FROM memories") == 1
    async with scopes.of("bob") as connection:  # the same connection
        assert await connection.fetchval("SELECT count(*) FROM memories") == 0


async def test_of_two_that_wait_for_each_other_one_is_told_to_try_again(scopes: Scopes) -> None:
    names = [(await Creating(scopes).create(Draft("ann", text))).memory.id for text in "ab"]
    together = asyncio.Barrier(2)

    async def lock(*order: UUID) -> None:
        async with scopes.writing("ann") as connection:
            for name in order:
                await connection.execute("SELECT FROM memories WHERE id = $1 FOR UPDATE", name)
                if name == order[0]:
                    await together.wait()

    results = await asyncio.gather(lock(*names), lock(*names[::-1]), return_exceptions=True)
    [error] = [one for one in results if one is not None]
    assert isinstance(error, Crowded)
