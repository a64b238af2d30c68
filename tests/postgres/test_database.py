"""What a component finds: a database in which it owns nothing that it works with."""

from __future__ import annotations

import asyncpg
import pytest

from tests.peers.postgres import PostgresServer
from uaitools.postgres.database import Database

TABLE = """
CREATE TABLE notes (id serial PRIMARY KEY, user_id text NOT NULL, text text NOT NULL);
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
ALTER TABLE notes FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON notes USING (user_id = current_setting('app.who', true));
"""


async def test_the_service_works_with_tables_that_the_owner_makes(database: Database) -> None:
    owner = await database.owner.connect()
    await owner.execute(TABLE)
    await owner.close()
    service = await database.service.connect()
    await service.execute("SET app.who = 'ann'")
    await service.execute("INSERT INTO notes (user_id, text) VALUES ('ann', 'hers')")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await service.execute("INSERT INTO notes (user_id, text) VALUES ('bob', 'his')")
    await service.execute("SET app.who = 'bob'")

    assert await service.fetch("SELECT * FROM notes") == []
    for forbidden in ("CREATE TABLE t ()", "DROP TABLE notes", "TRUNCATE notes"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await service.execute(forbidden)
    await service.close()


async def test_text_is_folded_and_cut_into_words_by_unicode_on_every_kind(
    postgres: PostgresServer, database: Database
) -> None:
    service = await database.service.connect()
    vector = await service.fetchval("SELECT to_regtype('vector') IS NOT NULL")
    trigrams = await service.fetchval(
        "SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_trgm'"
    )
    folded = await service.fetchval("SELECT lower('ÄRGER')")
    await service.close()

    assert folded == "ärger"
    assert vector is postgres.has_vector
    assert bool(trigrams) is not postgres.has_vector
