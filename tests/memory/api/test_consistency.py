"""Whether the index has what the database has, and how that is mended."""

from __future__ import annotations

from uuid import UUID, uuid4

import numpy as np

from tests.memory.api.served import Served, served
from tests.memory.api.test_memories import SECRET, bearer
from tests.peers.postgres import PostgresServer
from tests.peers.weaviate.server import weaviate_double
from uaitools.auth.config import AuthConfig
from uaitools.memory.index.port import Entry


async def held(memory: Served, user: str) -> dict[UUID, int]:
    return {one.id: one.generation async for one in memory.service.index.ids(user)}


async def test_ghosts_stale_and_missing_entries_are_found_and_mended(
    postgres: PostgresServer,
) -> None:
    async with weaviate_double() as double, served(postgres, index=double.settings) as memory:
        names = [UUID((await memory.remember(f"fact number {n}"))["id"]) for n in range(6)]
        await memory.remember("a fact of bob's", user="bob")
        await memory.followed()
        good = (await memory.ask("GET", "/consistency")).body
        assert (good["held"], good["rows"], good["shown"]) == (7, 7, [])

        service, ghost = memory.service, uuid4()
        vector = np.zeros(service.embedder.model.dimension, np.float32)
        vector[0] = 1
        await service.index.upsert([Entry(ghost, "ann", 1, vector)])
        await service.index.delete("ann", [names[0]])
        await service.index.delete("ann", [names[1]])
        await service.index.upsert([Entry(names[1], "ann", 0, vector)])
        bad = (await memory.ask("GET", "/consistency")).body
        assert (bad["ghosts"], bad["stale"], bad["missing"]) == (1, 1, 1)
        assert {(one["fault"], one["memory_id"]) for one in bad["shown"]} == {
            ("ghost", str(ghost)),
            ("stale", str(names[1])),
            ("missing", str(names[0])),
        }
        assert str(ghost) not in {one["id"] for one in await memory.search("fact")}

        repaired = await memory.ask("POST", "/consistency/repair")
        assert repaired.body["ghosts"] == 1
        await memory.followed()
        assert await held(memory, "ann") == dict.fromkeys(names, 1)
        again = (await memory.ask("GET", "/consistency")).body
        assert (again["held"], again["rows"], again["shown"]) == (7, 7, [])


async def test_what_is_on_its_way_is_no_fault(memory: Served) -> None:
    await memory.service.following.stop()
    made = await memory.remember("I like tea")
    report = (await memory.ask("GET", "/consistency")).body
    assert (report["held"], report["rows"], report["shown"]) == (0, 1, [])
    await memory.ask("DELETE", f"/memories/{made['id']}?user_id=ann")
    assert (await memory.ask("GET", "/consistency")).body["shown"] == []


async def test_only_operators_ask(postgres: PostgresServer) -> None:
    auth = AuthConfig.model_validate({"jwt": {"secret": SECRET}})
    async with served(postgres, auth=auth) as memory:
        for method, path in (("GET", "/consistency"), ("POST", "/consistency/repair")):
            assert (await memory.ask(method, path, Authorization=bearer("ann"))).status == 403
            service = bearer("svc", "memory:any")
            assert (await memory.ask(method, path, Authorization=service)).status == 200
