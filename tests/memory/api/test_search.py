"""Search over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from tests.memory.api.served import Served, served
from tests.peers.postgres import PostgresServer
from tests.peers.servers import free_port

DAYS = 86_400


async def test_words_and_meaning_are_found_and_explained(memory: Served) -> None:
    await memory.remember("The deploy failed with ERR_CONN-4432 on host db-7")
    await memory.remember("My dog is called Rex")
    await memory.remember("A dog of somebody else", user="bob")
    await memory.followed()
    [first, *_] = await memory.search("err_conn-4432", explain=True)
    assert first["content"].startswith("The deploy")
    parts = first["explain"]
    assert parts["matched"][0] == "=err_conn-4432"
    assert 0 < parts["lexical"] <= 1
    assert first["score"] == pytest.approx((parts["lexical"] + parts["vector"]) / 2, abs=1e-5)
    [dog] = await memory.search("dog", mode="lexical")
    assert (dog["content"], "explain" in dog and dog["explain"]) == ("My dog is called Rex", False)
    assert [one["content"] for one in await memory.search("a dog", mode="vector", limit=1)] == [
        "My dog is called Rex"
    ]


async def test_a_new_memory_is_found_by_its_words_at_once(memory: Served) -> None:
    made = await memory.remember("I like tea")
    assert [one["id"] for one in await memory.search("tea")] == [made["id"]]


async def test_what_is_wanted_is_found_behind_much_that_is_not(memory: Served) -> None:
    made = await memory.remember("green tea number 0")
    for number in range(1, 25):
        made = await memory.remember(f"green tea number {number}", supersedes=made["id"])
    last = "coffee, bread, butter and now and then a cup of green tea"
    await memory.remember(last, supersedes=made["id"])
    await memory.followed()
    found = await memory.search("green tea number", mode="vector", limit=1)
    assert [one["content"] for one in found] == [last]


async def test_what_was_deleted_or_changed_is_found_no_more(memory: Served) -> None:
    made = await memory.remember("I like tea")
    await memory.followed()
    path = f"/memories/{made['id']}?user_id=ann"
    await memory.ask("PATCH", path, {"content": "I like coffee"})
    await memory.followed()
    [found] = await memory.search("like", mode="vector")
    assert found["content"] == "I like coffee"
    assert await memory.search("tea", mode="lexical") == []
    await memory.ask("DELETE", path)
    assert await memory.search("coffee") == []
    await memory.followed()
    held = [one async for one in memory.service.index.ids("ann")]
    assert held == []


@pytest.mark.parametrize("mode", ["hybrid", "lexical", "vector"])
async def test_filters_phrases_and_bounds_hold_in_every_mode(memory: Served, mode: str) -> None:
    await memory.remember("green tea for the morning", tags=["a"], metadata={"n": 1}, type="event")
    await memory.remember("black tea for the night", tags=["b"], metadata={"n": 2},
        external_id="e")  # fmt: skip
    await memory.followed()

    async def found(text: str = "tea", **asked: Any) -> set[str]:
        return {one["content"][:5] for one in await memory.search(text, mode=mode, **asked)}

    assert await found() == {"green", "black"}
    assert await found(filter={"tags": {"any": ["a", "x"]}}) == {"green"}
    assert await found(filter={"tags": {"none": ["a"]}}) == {"black"}
    assert await found(filter={"metadata": {"gt": ["n", 1]}}) == {"black"}
    assert await found(filter={"type": ["event"]}) == {"green"}
    assert await found(filter={"external_id": "e"}) == {"black"}
    assert await found(filter={"external_id": "x"}) == set()
    assert await found(filter={"created_before": "2001-01-01T00:00:00Z"}) == set()
    assert await found('"tea for the night"') == {"black"}
    assert await found(min_score=1.0) == set()
    assert len(await memory.search("tea", mode=mode, limit=1)) == 1


async def test_age_takes_its_part_where_it_is_asked_for(memory: Served) -> None:
    made = await memory.remember("tea of old times")
    await memory.remember("tea of these days and a few words more")
    await memory.followed()
    old, new = "tea of old times", "tea of these days and a few words more"
    async with memory.service.pool.acquire() as connection:
        await connection.execute("SELECT set_config('uaitools.user_id', 'ann', false)")
        await connection.execute(
            "UPDATE memories SET created_at = now() - interval '30 days' WHERE id = $1", made["id"]
        )
    assert [one["content"] for one in await memory.search("tea")] == [old, new]
    found = await memory.search("tea", half_life_days=10, explain=True)
    assert [one["content"] for one in found] == [new, old]
    assert found[1]["explain"]["recency"] == pytest.approx(1 / 8, rel=1e-3)


@pytest.mark.parametrize(
    "wrong",
    [
        {"query": ""},
        {"mode": "both"},
        {"limit": 0},
        {"min_score": 2},
        {"half_life_days": 0},
        {"filter": {"metadata": {"like": ["a", 1]}}},
        {"filter": {"tags": ["a"]}},
    ],
)
async def test_a_wrong_search_says_what_is_wrong(memory: Served, wrong: dict[str, Any]) -> None:
    asked = {"user_id": "ann", "query": "tea", **wrong}
    answer = await memory.ask("POST", "/memories/search", asked)
    assert answer.status == 422
    assert answer.body["details"][0]["field"].split(".")[0] == next(iter(wrong))


async def test_an_embedder_that_is_away_degrades_a_search_and_is_caught_up_with(
    postgres: PostgresServer,
) -> None:
    embed = {
        "use": "http",
        "http": {
            "url": f"http://127.0.0.1:{free_port()}/v1/embeddings",
            "model": "m",
            "dimension": 8,
            "attempts": 1,
        },
    }
    async with served(postgres, embed=embed) as memory:
        made = await memory.remember("I like tea")
        for mode in ("hybrid", "vector"):
            asked = {"user_id": "ann", "query": "tea", "mode": mode}
            answer = await memory.ask("POST", "/memories/search", asked)
            assert (answer.status, answer.body["degraded"]) == (200, ["vector"])
            assert [one["id"] for one in answer.body["results"]] == [made["id"]]
        assert (await memory.service.outbox.backlog()).size == 1  # nothing of it is lost
