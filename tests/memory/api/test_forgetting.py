"""Memories go by policies: what is told, and what is gone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.memory.api.served import Served, served
from tests.memory.api.test_memories import SECRET, bearer
from tests.peers.gateways import eventually
from tests.peers.postgres import PostgresServer
from uaitools.auth.config import AuthConfig
from uaitools.memory.policy import Policy
from uaitools.memory.store.policies import SHOWN, SLICE
from uaitools.memory.wanted import Wanted


async def age(
    memory: Served, days: float, *made: dict[str, Any], column: str = "created_at"
) -> None:
    """Have memories be of some days ago."""
    names = [one["id"] for one in made]
    columns = ("created_at", "updated_at") if column == "created_at" else (column,)
    async with memory.service.pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT set_config('uaitools.everyone', 'on', true)")
        for name in columns:
            await connection.execute(
                f"UPDATE memories SET {name} = now() - $2::interval WHERE id = ANY($1::uuid[])",
                names,
                timedelta(days=days),
            )


async def forget(memory: Served, policy: object, **fields: Any) -> dict[str, Any]:
    asked = {"user_id": "ann", "policy": policy, **fields}
    answer = await memory.ask("POST", "/memories/forget", asked)
    assert answer.status == 200, answer
    said: dict[str, Any] = answer.body
    return said


async def contents(memory: Served, user: str = "ann") -> set[str]:
    page = (await memory.ask("GET", f"/memories?user_id={user}")).body["memories"]
    return {one["content"] for one in page}


async def test_nothing_goes_unless_it_is_said_and_then_what_was_told(memory: Served) -> None:
    old = await memory.remember("tea, of old")
    unused = await memory.remember("tea, not read for long")
    pinned = await memory.remember("tea, pinned", pinned=True)
    await memory.remember("tea, new")
    await memory.followed()
    await age(memory, 400, old, pinned)
    await age(memory, 100, unused)
    await age(memory, 1, old, column="accessed_at")
    rules = {"older_than_days": 365, "unused_for_days": 90}
    told = await forget(memory, rules)
    assert (told["dry_run"], told["count"], told["more"], told["left"]) == (True, 2, False, 0)
    assert len(await contents(memory)) == 4
    by_id = {one.pop("id"): one for one in told["memories"]}
    assert by_id[old["id"]] == {
        "reasons": ["age"],
        "age_days": 400.0,
        "unused_days": 1.0,
        "access_count": 0,
        "excerpt": "tea, of old",
        "rank": 2,
    }
    assert by_id[unused["id"]]["reasons"] == ["inactivity"]
    assert by_id[unused["id"]]["unused_days"] == 100.0
    path = f"/memories/{old['id']}?user_id=ann&touch=false"
    assert (await memory.ask("GET", path)).status == 200
    gone = await forget(memory, rules, dry_run=False)
    assert (gone["dry_run"], gone["count"]) == (False, 2)
    assert {one["id"] for one in gone["memories"]} == set(by_id)
    assert await contents(memory) == {"tea, pinned", "tea, new"}
    assert (await memory.ask("GET", path)).status == 404
    assert (await forget(memory, rules))["count"] == 0
    assert memory.service.forgetting.forgotten == 2


async def test_what_was_forgotten_is_in_no_index_and_does_not_come_back(memory: Served) -> None:
    made = [await memory.remember(f"fact number {number}") for number in range(6)]
    exported = (await memory.ask("GET", "/memories/export?user_id=ann")).body
    await memory.followed()
    await age(memory, 50, *made[:4])
    told = await forget(memory, {"keep_best": 2}, dry_run=False)
    assert [one["reasons"] for one in told["memories"]] == [["rank"]] * 4
    await memory.followed()
    left = {one["id"] for one in made[4:]}
    assert {str(one.id) async for one in memory.service.index.ids("ann")} == left
    assert {one["id"] for one in await memory.search("fact")} == left
    async with memory.session.post(
        f"{memory.url}/memories/import?user_id=ann",
        data=exported,
        headers={"Content-Type": "application/x-ndjson"},
    ) as response:
        taken = await response.json()
    assert (taken["imported"], taken["deleted"], taken["present"]) == (0, 4, 2)


async def test_what_was_read_a_moment_ago_is_not_unused(memory: Served) -> None:
    made = [await memory.remember(f"fact number {number}") for number in range(3)]
    await age(memory, 50, *made)
    await memory.ask("GET", f"/memories/{made[1]['id']}?user_id=ann")
    told = await forget(memory, {"unused_for_days": 10}, dry_run=False)
    assert told["count"] == 2
    assert await contents(memory) == {"fact number 1"}


async def test_a_policy_is_for_what_its_filter_wants_and_for_what_was_superseded(
    memory: Served,
) -> None:
    first = await memory.remember("I live in Berlin", type="home", tags=["a"])
    second = await memory.remember("I live in Munich", type="home", supersedes=first["id"])
    other = await memory.remember("a walk", type="event", tags=["b"], metadata={"km": 5})
    await age(memory, 50, first, second, other)
    rules = {"older_than_days": 10}

    async def goes(**wanted: Any) -> set[str]:
        told = await forget(memory, rules, filter=wanted)
        return {one["id"] for one in told["memories"]}

    assert await goes() == {first["id"], second["id"], other["id"]}
    assert await goes(superseded=False) == {second["id"], other["id"]}
    assert await goes(type=["event"]) == {other["id"]}
    assert await goes(tags={"any": ["a"]}) == {first["id"]}
    assert await goes(metadata={"gt": ["km", 3]}) == {other["id"]}
    assert await goes(pinned=True) == set()
    told = await forget(memory, {"keep_best": 1}, filter={"type": ["home"]})
    assert [one["id"] for one in told["memories"]] == [first["id"]]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"policy": {}}, "policy"),
        ({"policy": {"older_than_days": None}}, "policy.older_than_days"),
        ({"policy": {"older_than_days": 0}}, "policy.older_than_days"),
        ({"policy": {"keep_best": 0}}, "policy.keep_best"),
        ({"policy": {"newer_than_days": 1}}, "policy.newer_than_days"),
        ({}, "policy"),
        ({"policy": {"keep_best": 1}, "dry_run": "no"}, "dry_run"),
        (
            {"policy": {"keep_best": 1}, "dry_run": False, "filter": {"metadata": {"like": 1}}},
            "filter.metadata",
        ),
    ],
)
async def test_a_policy_that_says_nothing_or_not_clearly_is_refused(
    memory: Served, asked: dict[str, Any], field: str
) -> None:
    await memory.remember("tea")
    answer = await memory.ask("POST", "/memories/forget", {"user_id": "ann", **asked})
    assert answer.status == 422
    assert [one["field"] for one in answer.body["details"]] == [field]
    assert await contents(memory) == {"tea"}


async def test_a_users_token_has_his_own_memories_go_and_nobody_elses(
    postgres: PostgresServer,
) -> None:
    auth = AuthConfig.model_validate({"jwt": [{"secret": SECRET}]})
    async with served(postgres, auth=auth) as memory:
        for user in ("ann", "bob"):
            sent = {"user_id": user, "content": f"I am {user}"}
            await memory.ask("POST", "/memories", sent, Authorization=bearer(user))
            sent["content"] = f"I am {user} still"
            await memory.ask("POST", "/memories", sent, Authorization=bearer(user))
        asked = {"policy": {"keep_best": 1}, "dry_run": False}
        refused = await memory.ask(
            "POST", "/memories/forget", {**asked, "user_id": "bob"}, Authorization=bearer("ann")
        )
        assert refused.status == 403
        said = await memory.ask("POST", "/memories/forget", asked, Authorization=bearer("ann"))
        assert said.body["count"] == 1
        page = await memory.ask("GET", "/memories", Authorization=bearer("bob"))
        assert len(page.body["memories"]) == 2


async def test_who_has_no_patience_is_told_what_is_left(memory: Served) -> None:
    async with memory.service.pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT set_config('uaitools.everyone', 'on', true)")
        await connection.execute(
            "INSERT INTO memories (id, user_id, type, content, tags, metadata, created_at,"
            " updated_at, pinned, words, length, analysis) SELECT gen_random_uuid(), 'ann', 'fact',"
            " 'x', '{}', '{}', now(), now(), false, '', 1, 1"
            " FROM generate_series(1, $1)",
            SLICE + 11,
        )
    policy, wanted = Policy(keep_best=1), Wanted()
    forgetting = memory.service.forgetting
    first = await forgetting.forget("ann", policy, wanted, patience=0)
    assert (first.count, first.left) == (SLICE, 10)
    assert len(first.shown) <= SHOWN
    second = await forgetting.forget("ann", policy, wanted, patience=0)
    assert (second.count, second.left, len(second.shown)) == (10, 0, 10)


async def test_policies_that_stand_are_followed_for_every_user(postgres: PostgresServer) -> None:
    standing = [{"older_than_days": 30, "type": ["event"]}, {"keep_best": 2, "tags": ["t"]}]
    async with served(postgres, forget=standing) as memory:
        for user in ("ann", "bob"):
            event = await memory.remember("a walk", user, type="event")
            fact = await memory.remember("a fact", user)
            tagged = [await memory.remember(f"tagged {n}", user, tags=["t"]) for n in range(3)]
            await age(memory, 40, event, fact)
            await age(memory, 1, tagged[0])
        await memory.service.forgetting.keep_up()
        for user in ("ann", "bob"):
            assert await contents(memory, user) == {"a fact", "tagged 1", "tagged 2"}


async def test_policies_that_stand_are_followed_from_the_start(postgres: PostgresServer) -> None:
    async with served(postgres, forget=[{"keep_best": 1}]) as memory:
        forgetting = memory.service.forgetting
        await forgetting.stop()
        for number in range(3):
            await memory.remember(f"fact number {number}")
        await forgetting.start()
        await eventually(lambda: forgetting.forgotten == 2)
