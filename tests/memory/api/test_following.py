"""The index follows what was written, whatever becomes of either meanwhile."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

from tests.memory.api.served import Served, served
from tests.memory.embed.server import DIMENSION, EmbeddingServer, good
from tests.peers.gateways import eventually
from tests.peers.postgres import PostgresServer, fresh_database
from tests.peers.weaviate.server import weaviate_double
from uaitools.memory.analysis import VERSION
from uaitools.memory.config import MemoryConfig
from uaitools.memory.model import Draft
from uaitools.memory.searching import SearchRequest
from uaitools.memory.service import MIGRATIONS, MemoryService
from uaitools.memory.store.scope import Scopes


async def test_an_index_that_is_away_is_caught_up_with(postgres: PostgresServer) -> None:
    async with weaviate_double() as double, served(postgres, index=double.settings) as memory:
        first = await memory.remember("I like tea")
        await memory.followed()
        [found] = await memory.search("tea", mode="vector")
        assert found["id"] == first["id"]
        double.vanish()
        await memory.ask("DELETE", f"/memories/{first['id']}?user_id=ann")
        second = await memory.remember("I like coffee")
        answer = await memory.ask(
            "POST", "/memories/search", {"user_id": "ann", "query": "coffee or tea"}
        )
        assert answer.body["degraded"] == ["vector"]
        assert [one["id"] for one in answer.body["results"]] == [second["id"]]
        double.come_back()
        await _told(memory, second["id"])


async def test_an_index_in_the_database_is_made_at_the_start_and_follows(
    postgres: PostgresServer,
) -> None:
    async with served(postgres, index={"kind": "pgvector"}) as memory:
        first, second = await memory.remember("I like tea"), await memory.remember("and coffee")
        await memory.followed()
        [found] = await memory.search("tea", mode="vector")
        assert found["id"] == first["id"]
        await memory.ask("DELETE", f"/memories/{first['id']}?user_id=ann")
        await _told(memory, second["id"])


async def _told(memory: Served, *names: str) -> None:
    """Until the index has these memories of ann's and no others."""
    service = memory.service

    async def held() -> set[str]:
        return {str(one.id) async for one in service.index.ids("ann")}

    await eventually(lambda: not service.following.failing)
    await memory.followed()
    assert await held() == set(names)


async def _done(service: MemoryService, count: int) -> None:
    """Until so many were followed, and nothing is left."""
    await eventually(lambda: service.following.followed >= count)
    while (await service.outbox.backlog()).size:
        await eventually(lambda: not service.following.failing)


async def test_another_embedder_makes_new_vectors_of_everything(postgres: PostgresServer) -> None:
    async with fresh_database(postgres, migrations=MIGRATIONS) as database:
        for dimension in (512, 256):
            hashing = {"use": "hash", "hash": {"dimension": dimension}}
            config = MemoryConfig.model_validate({"embed": hashing})
            service = MemoryService(config, Path("/nowhere"), database=database)
            await service.start()
            try:
                for number in range(30):
                    await service.create(Draft("ann", f"fact number {number}"))
                await _done(service, 30)
                async with service.pool.acquire() as connection:
                    await connection.execute("SELECT set_config('uaitools.user_id','ann',false)")
                    rows = await connection.fetch("SELECT model, length(vector) FROM embeddings")
                assert len(rows) == 30
                assert {tuple(row) for row in rows} == {
                    (str(service.embedder.model), 4 * dimension)
                }
            finally:
                await service.stop()


async def test_a_text_that_the_embedder_refuses_keeps_no_other_from_being_found(
    postgres: PostgresServer,
) -> None:
    def answer(texts: list[str]) -> web.Response:
        return web.Response(status=400) if any("poison" in one for one in texts) else good(texts)

    async with EmbeddingServer() as server:
        server.script.extend([answer] * 20)
        http = {"url": server.url, "model": "m", "dimension": DIMENSION, "attempts": 1}
        async with served(postgres, embed={"use": "http", "http": http}) as memory:
            await memory.service.following.stop()
            for text in ("one text", "a poison", "another text"):
                await memory.remember(text)
            assert await memory.service.following.follow() == 3
            held = [one.id async for one in memory.service.index.ids("ann")]
            assert len(held) == 2
            assert (await memory.service.outbox.backlog()).size == 1


async def test_what_an_older_version_has_analysed_is_found_after_a_start(
    postgres: PostgresServer,
) -> None:
    async with fresh_database(postgres, migrations=MIGRATIONS) as database:
        config = MemoryConfig.model_validate({"embed": {"use": "hash"}})
        for expected in (0, 250):
            service = MemoryService(config, Path("/nowhere"), database=database)
            await service.start()
            try:
                for number in range(250 - expected):
                    await service.create(Draft("ann", f"fact number {number}"))
                await eventually(lambda: service.analysing.analysed == expected)  # noqa: B023 - at once
                asked = SearchRequest("249", mode="lexical")
                [(memory, _)] = (await service.searching.search("ann", asked)).results
                assert (memory.content, memory.version) == ("fact number 249", 1)
                async with service.pool.acquire() as connection:
                    await connection.execute("SELECT set_config('uaitools.everyone','on',false)")
                    await connection.execute(
                        "UPDATE memories SET words = 'kiwi:1', analysis = $1", VERSION - 1
                    )
            finally:
                await service.stop()


async def test_who_has_memories_that_the_index_should_have_is_told(memory: Served) -> None:
    """And nobody else is."""
    await memory.remember("I like tea")
    await memory.remember("I like tea", user="bob")
    await memory.followed()
    async with Scopes(memory.service.pool).of("ann") as connection:
        await connection.execute(
            "INSERT INTO outbox (user_id, memory_id, since, due)"
            " VALUES ('ann', gen_random_uuid(), now() - interval '1 min', now() + interval '1 h')"
        )
    await memory.service.index_watch.look()
    for user, degraded in (("ann", ["vector"]), ("bob", [])):
        asked = {"user_id": user, "query": "tea"}
        answer = await memory.ask("POST", "/memories/search", asked)
        assert (answer.body["degraded"], len(answer.body["results"])) == (degraded, 1)
