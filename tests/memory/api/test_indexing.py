"""Another index, or another embedder, than the database had before."""

from __future__ import annotations

import pytest

from tests.memory.api.served import serving
from tests.peers.gateways import eventually
from tests.peers.postgres import PostgresServer, fresh_database
from uaitools.config import ConfigError
from uaitools.memory.service import MIGRATIONS


async def test_another_index_is_filled_and_what_was_left_is_removed(
    postgres: PostgresServer,
) -> None:
    async with fresh_database(postgres, migrations=MIGRATIONS) as database:
        async with serving(database, index={"kind": "pgvector"}) as memory:
            gone = await memory.remember("I like trains")
            kept = await memory.remember("I like tea")
            await memory.followed()
        async with serving(database) as memory:
            await memory.ask("DELETE", f"/memories/{gone['id']}?user_id=ann")
            new = await memory.remember("I like coffee")
            await memory.followed()
            async with memory.service.pool.acquire() as connection:
                await connection.execute("SELECT set_config('uaitools.everyone', 'on', false)")
                assert await connection.fetchval("SELECT count(*) FROM memory_vectors") == 0
                await connection.execute("SELECT set_config('uaitools.everyone', 'off', false)")
        async with serving(database, index={"kind": "pgvector"}) as memory:
            watch = memory.service.index_watch
            await watch.look()
            await eventually(lambda: not watch.lacks)
            await memory.followed()
            found = await memory.search("coffee tea", mode="vector")
            assert {one["id"] for one in found} == {kept["id"], new["id"]}
            report = (await memory.ask("GET", "/consistency")).body
            assert (report["held"], report["ghosts"], report["missing"]) == (2, 0, 0)


async def test_who_has_another_embedder_than_the_newest_service_says_so(
    postgres: PostgresServer,
) -> None:
    async with (
        fresh_database(postgres, migrations=MIGRATIONS) as database,
        serving(database) as old,
    ):
        await old.remember("I like tea")
        other = {"use": "hash", "hash": {"dimension": 256}}
        async with serving(database, embed=other) as new:
            await old.service.index_watch.look()  # and leaves the rest to the new one
            # The old one may have had it in hand: the new one looks once more, after 10 s.
            await eventually(lambda: new.service.following.followed == 1, patience=30)
            health = (await old.ask("GET", "/health")).body
            assert health["dependencies"]["index"] == "unhealthy"
            asked = {"user_id": "ann", "query": "tea"}
            answer = await old.ask("POST", "/memories/search", asked)
            assert answer.body["degraded"] == ["vector"]
            assert len(answer.body["results"]) == 1  # by its words
            answer = await new.ask("POST", "/memories/search", asked)
            assert answer.body["degraded"] == []


async def test_a_guest_does_not_start_with_other_vectors(postgres: PostgresServer) -> None:
    async with fresh_database(postgres, migrations=MIGRATIONS) as database:
        async with serving(database):
            pass
        other = {"use": "hash", "hash": {"dimension": 256}}
        with pytest.raises(ConfigError, match="give this program the configuration"):
            async with serving(database, guest=True, embed=other):
                pass
        async with serving(database, guest=True) as memory:
            await memory.remember("I like tea")
