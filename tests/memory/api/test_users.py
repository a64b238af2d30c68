"""A user goes for certain: from every store, with a receipt, and for good."""

from __future__ import annotations

from urllib.parse import quote

import numpy as np
import pytest

from tests.memory.api.served import Served, served
from tests.memory.api.test_memories import SECRET, bearer
from tests.memory.store.graves import grave
from tests.peers.gateways import eventually
from tests.peers.postgres import PostgresServer
from tests.peers.weaviate.server import WeaviateDouble, weaviate_double
from uaitools.auth.config import AuthConfig
from uaitools.memory.index.port import Entry
from uaitools.memory.index.weaviate import WeaviateIndex


async def rows(memory: Served, user: str) -> dict[str, int]:
    """How many there are of a user in each table that has users."""
    async with memory.service.pool.acquire() as connection:
        await connection.execute("SELECT set_config('uaitools.everyone', 'on', false)")
        tables = await connection.fetch(
            "SELECT table_name FROM information_schema.columns WHERE column_name = 'user_id'"
            " AND table_schema = 'memory'"
        )
        found = {
            row["table_name"]: await connection.fetchval(
                f"SELECT count(*) FROM {row['table_name']} WHERE user_id = $1", user
            )
            for row in tables
        }
        await connection.execute("SELECT set_config('uaitools.everyone', 'off', false)")
    assert {"memories", "versions", "embeddings", "idempotency_keys", "outbox"} <= found.keys()
    return {name: count for name, count in found.items() if count}


async def test_everything_of_a_user_goes_and_a_receipt_says_what_it_was(memory: Served) -> None:
    made = [await memory.remember(f"fact number {number}") for number in range(5)]
    await memory.ask("POST", "/memories", {"user_id": "ann", "content": "x"}, Idempotency_Key="k")
    await memory.ask("PATCH", f"/memories/{made[0]['id']}?user_id=ann", {"content": "changed"})
    said = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}]
    await memory.ask("POST", "/sessions/s-1/messages", {"user_id": "ann", "messages": said})
    other = await memory.remember("a fact of bob's", user="bob")
    await memory.followed()
    kinds = {"memories", "versions", "embeddings", "idempotency_keys", "sessions", "messages"}
    assert (await rows(memory, "ann")).keys() >= kinds
    answer = await memory.ask("DELETE", "/users/ann")
    receipt = answer.body
    assert (answer.status, receipt["status"]) == (200, "complete")
    assert receipt["removed"] == {
        "memories": 6,
        "versions": 1,
        "embeddings": 6,
        "idempotency_keys": 1,
        "outbox": 0,
        "sessions": 1,
        "messages": 2,
    }
    assert set(receipt["left_over"].values()) == {0}
    assert receipt["requested_at"] <= receipt["completed_at"]
    assert await rows(memory, "ann") == {}
    assert [one async for one in memory.service.index.ids("ann")] == []
    assert await memory.search("fact") == []
    assert [one["id"] for one in await memory.search("fact", user="bob")] == [other["id"]]
    again = await memory.ask("GET", f"/deletions/{receipt['id']}?user_id=ann")
    assert again.body == receipt
    assert (await memory.ask("GET", f"/deletions/{receipt['id']}?user_id=bob")).status == 404


async def test_who_comes_back_has_what_he_says_then_and_nothing_else(memory: Served) -> None:
    old = await memory.remember("I like tea")
    await memory.ask("DELETE", "/users/ann")
    new = await memory.remember("I like tea")
    assert new["id"] != old["id"]
    await memory.followed()
    assert [one["id"] for one in await memory.search("tea", mode="vector")] == [new["id"]]
    async with memory.service.pool.acquire() as connection:
        graves = await connection.fetch("SELECT grave FROM tombstones")
    assert [row["grave"] for row in graves] == [grave("ann", old["id"])]


async def test_a_user_without_anything_is_deleted_as_well(memory: Served) -> None:
    receipt = (await memory.ask("DELETE", "/users/nobody%20here%2Fat%20all")).body
    assert (receipt["status"], set(receipt["removed"].values())) == ("complete", {0})
    for wrong in ("%20ann", "%C3%A4nn", "a%0Ab"):
        assert (await memory.ask("DELETE", f"/users/{wrong}")).status == 422


async def test_a_receipt_waits_for_who_may_still_write_a_vector(postgres: PostgresServer) -> None:
    """Whoever had claimed a memory, and was held up, writes it after its user has gone."""
    async with served(postgres, deletion_wait=0.1) as memory:
        service = memory.service
        await service.following.stop()
        made = await memory.remember("I like tea")
        [claim] = await service.outbox.claim(10)
        receipt = (await memory.ask("DELETE", "/users/ann")).body
        assert (receipt["status"], receipt["removed"]["outbox"]) == ("pending", 0)
        vector = np.zeros(service.embedder.model.dimension, np.float32)
        await service.index.upsert([Entry(claim.memory_id, "ann", 1, vector)])
        await service.outbox.done([claim])
        await service.following.start()
        await eventually(lambda: service.deleting.completed == 1)
        path = f"/deletions/{receipt['id']}?user_id=ann"
        assert (await memory.ask("GET", path)).body["status"] == "complete"
        assert (await service.outbox.backlog()).size == 0
        assert [one async for one in service.index.ids("ann")] == []
        assert (await memory.ask("GET", f"/memories/{made['id']}?user_id=ann")).status == 404


def objects(double: WeaviateDouble) -> list[object]:
    """What it has, of all collections."""
    collections = double.database.collections.values()
    return [one for collection in collections for one in collection.objects.values()]


async def test_while_the_index_is_away_a_receipt_is_pending_and_then_complete(
    postgres: PostgresServer,
) -> None:
    async with (
        weaviate_double() as double,
        served(postgres, index=double.settings, deletion_wait=0.3) as memory,
    ):
        await memory.remember("I like tea")
        await memory.followed()
        double.vanish()
        answer = await memory.ask("DELETE", "/users/ann")
        assert (answer.status, answer.body["status"]) == (202, "pending")
        assert await memory.search("tea") == []
        assert len(objects(double)) == 1
        double.come_back()
        await eventually(lambda: memory.service.deleting.completed == 1)
        path = f"/deletions/{answer.body['id']}?user_id=ann"
        assert (await memory.ask("GET", path)).body["status"] == "complete"
        assert objects(double) == []


async def test_a_receipt_waits_for_an_index_that_only_says_it_has_deleted(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def say(_index: WeaviateIndex, _user: str) -> int:
        return 1

    async with (
        weaviate_double() as double,
        served(postgres, index=double.settings, deletion_wait=5.0) as memory,
    ):
        await memory.remember("I like tea")
        await memory.followed()
        monkeypatch.setattr(WeaviateIndex, "delete_scope", say)
        answer = await memory.ask("DELETE", "/users/ann")
        assert (answer.status, answer.body["status"]) == (200, "complete")
        assert objects(double) == []


async def test_who_deletes_a_user_is_that_user_or_a_service(postgres: PostgresServer) -> None:
    auth = AuthConfig.model_validate({"jwt": {"secret": SECRET}})
    async with served(postgres, auth=auth) as memory:
        body = {"content": "mine"}
        await memory.ask("POST", "/memories", body, Authorization=bearer("ann"))
        foreign = await memory.ask("DELETE", "/users/ann", Authorization=bearer("bob"))
        assert foreign.status == 403
        own = await memory.ask("DELETE", "/users/ann", Authorization=bearer("ann"))
        assert (own.status, own.body["removed"]["memories"]) == (200, 1)
        service = bearer("svc", "memory:any")
        assert (await memory.ask("DELETE", "/users/ann", Authorization=service)).status == 200


@pytest.mark.parametrize("user", [".", "..", "a/../b", "../../etc"])
async def test_a_user_whose_id_is_no_part_of_a_path_is_deleted_as_well(
    memory: Served, user: str
) -> None:
    await memory.remember("I like tea", user=user)
    answer = await memory.ask("DELETE", f"/users?user_id={quote(user, safe='')}")
    assert (answer.status, answer.body["removed"]["memories"]) == (200, 1)
