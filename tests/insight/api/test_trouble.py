"""Redis that is away, slow or empty, imports under load, and a database that is gone."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from tests.insight.api.served import Answer, Served, serving
from tests.insight.stores import Line
from tests.peers.gateways import eventually, settled
from tests.peers.postgres import PostgresServer
from tests.peers.redis import RedisServer
from uaitools.insight.store.opening import Store
from uaitools.tasks import spawn

DAY = date(2024, 2, 11)
NAMES = [f"acme/tool{number}" for number in range(20)]
PATHS = [
    *(f"/api/v1/fast/repositories/{name.replace('/', '%2F')}/summary" for name in NAMES[:5]),
    "/api/v1/fast/search?q=acme&limit=100",
    "/api/v1/fast/search?q=tool&sort=forks&limit=100",
    "/api/v1/fast/leaderboard?category=popular",
]
LOCK = "LOCK standings IN ACCESS EXCLUSIVE MODE"
WAITING = "SELECT count(*) FROM pg_locks WHERE relation = 'standings'::regclass AND NOT granted"


def all_with(number: int) -> list[Line]:
    """Every repository with so many stars and forks."""
    return [Line(name, number, number, "Go") for name in NAMES]


async def ask_all(insight: Served, rounds: int, *, cold: bool = False) -> list[Answer]:
    """Every path some times, several at once. cold: each by a key of its own."""
    several = [f"/api/v1/fast/search?q=acme&limit={at + 1}" for at in range(rounds)]
    paths = several if cold else PATHS * rounds
    return list(await asyncio.gather(*map(insight.ask, paths)))


def statuses(answers: list[Answer]) -> set[int]:
    return {one.status for one in answers}


async def test_redis_that_is_killed_frozen_or_flushed_costs_no_answer(
    store: Store, tmp_path: Path, redis: RedisServer
) -> None:
    cache = {"timeout": 0.05, "pause": 0.05}
    async with serving(store, tmp_path, redis_url=redis.url, cache=cache, recent=0) as insight:
        await insight.take(DAY, all_with(1))
        assert statuses(await ask_all(insight, 10)) == {200}
        assert {one.cache for one in await ask_all(insight, 3)} == {"HIT"}
        await redis.command("FLUSHALL")
        found = await ask_all(insight, 5)
        assert statuses(found) == {200}
        assert "MISS" in {one.cache for one in found}

        redis.freeze()
        assert statuses(await ask_all(insight, 10)) == {200}
        await insight.take(DAY + timedelta(1), all_with(2))
        found = await ask_all(insight, 3)
        assert statuses(found) == {200}
        assert {one.body.get("stars", 2) for one in found} == {2}
        redis.thaw()
        await settled(lambda: hits(insight))

        await redis.kill()
        assert statuses(await ask_all(insight, 10)) == {200}
        await redis.start()
        await settled(lambda: hits(insight))
        assert statuses(await ask_all(insight, 10, cold=True)) == {200}


async def hits(insight: Served) -> bool:
    return {one.cache for one in await ask_all(insight, 1)} == {"HIT"}


@asynccontextmanager
async def two(
    store: Store, folder: Path, redis: RedisServer
) -> AsyncIterator[tuple[Served, Served]]:
    patient = {"patience": 10}
    async with (
        serving(store, folder, redis_url=redis.url, freshness=patient) as one,
        serving(store, folder, redis_url=redis.url, freshness=patient) as other,
    ):
        await one.take(DAY, all_with(1))
        await other.service.following.look()
        yield one, other


async def test_services_on_one_redis_make_an_answer_once(
    store: Store, tmp_path: Path, redis: RedisServer
) -> None:
    async with (
        two(store, tmp_path, redis) as (one, other),
        store.database.owned() as connection,
    ):
        repository = (await one.ask(PATHS[0])).body["id"]
        assert (await other.summary(repository)).cache == "HIT"
        path = "/api/v1/fast/search?q=acme"
        async with connection.transaction():
            await connection.execute(LOCK)
            asking = [asyncio.gather(*map(each.ask, [path] * 100)) for each in (one, other)]
            await eventually(lambda: under_way() == 200)
            waiting = await connection.fetchval(WAITING)
        answers = [one for some in asking for one in await some]
    assert waiting == 1
    assert statuses(answers) == {200}
    outcomes = Counter(one.cache for one in answers)
    assert outcomes["MISS"] == 1
    assert len({one.raw for one in answers}) == 1


def under_way() -> int:
    """Requests that wait for an answer."""
    return sum(task.get_name() == "answer of insight" for task in asyncio.all_tasks())


async def test_a_report_to_one_of_them_is_seen_by_the_other(
    store: Store, tmp_path: Path, redis: RedisServer
) -> None:
    async with two(store, tmp_path, redis) as (one, other):
        told = [await each.ask(PATHS[0]) for each in (one, other, one, other)]
        assert [answer.cache for answer in told] == ["MISS", "HIT", "HIT", "HIT"]
        said = {"type": "analysis_failed", "repository_id": NAMES[0]}
        await one.ask("/api/v1/events", method="POST", body=said)
        assert (await one.ask(PATHS[0])).body["analysis_status"] == "failed"

        async def seen() -> bool:
            return bool((await other.ask(PATHS[0])).body["analysis_status"] == "failed")

        await settled(seen)


async def test_an_import_under_load_mixes_no_generations(
    store: Store, tmp_path: Path, redis: RedisServer
) -> None:
    """In generation n every repository has n stars and forks, and the data is of day n."""
    ended = asyncio.Event()

    async def watch(insight: Served, path: str) -> set[int]:
        seen: list[int] = []
        while not ended.is_set() or seen[-1] < 6:
            answer = await insight.ask(path)
            assert answer.status == 200, answer
            seen.append(generation(answer.body))
        assert seen == sorted(seen), path
        return set(seen)

    async with two(store, tmp_path, redis) as (one, other):
        watching = asyncio.gather(*(watch(each, path) for each in (one, other) for path in PATHS))
        for number in range(2, 7):
            await one.take_quietly(DAY + timedelta(number - 1), all_with(number))
        ended.set()
        seen = set().union(*await watching)
    assert len(seen) > 3


def generation(told: dict[str, Any]) -> int:
    """The one of which all of an answer is."""
    listed = told.get("repositories", [told])
    numbers = {one["stars"] for one in listed} | {one["forks"] for one in listed}
    days = {(date.fromisoformat(one["as_of"]) - DAY).days + 1 for one in [told, *listed]}
    assert len(listed) in (1, len(NAMES))
    assert len(numbers | days) == 1, told
    return int(numbers.pop())


async def test_what_is_kept_is_used_while_the_database_is_gone(
    store: Store, tmp_path: Path, postgres: PostgresServer
) -> None:
    async with (
        serving(store, tmp_path, pool={"wait": 0.5}) as insight,
        allowed(store, postgres) as allow,
    ):
        await insight.take(DAY, all_with(1))
        before = await insight.ask(PATHS[0])
        await allow(False)
        assert (await insight.ask(PATHS[0])).cache == "HIT"
        stale = await insight.ask(PATHS[0], Cache_Control="no-cache")
        assert (stale.status, stale.cache, stale.raw) == (200, "STALE", before.raw)
        unknown = await insight.ask(PATHS[1])
        assert (unknown.status, unknown.body["error"]) == (503, unknown.body["message"])
        await eventually(lambda: insight.service.probe.failing)
        health = await insight.ask("/health")
        assert (health.status, health.body["status"]) == (200, "degraded")
        assert health.body["dependencies"]["database"] == "unhealthy"
        await allow(True)

        async def back() -> bool:
            return (await insight.ask(PATHS[1])).status == 200

        await settled(back)


@asynccontextmanager
async def allowed(store: Store, postgres: PostgresServer) -> AsyncIterator[Any]:
    """What says whether anybody may connect to a store's database."""
    async with store.pool.acquire() as connection:
        name = await connection.fetchval("SELECT current_database()")
    admin = await postgres.connect()

    async def allow(allowed: bool) -> None:
        await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS {allowed}")
        if not allowed:
            await admin.fetch(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name
            )

    yield allow
    await admin.close()


async def test_boards_of_the_past_are_made_a_few_at_a_time(insight: Served) -> None:
    for number in range(3):
        await insight.take(DAY + timedelta(number), all_with(number))
    async with insight.store.database.owned() as connection:
        async with connection.transaction():
            await connection.execute(LOCK)
            limits = count(1)
            path = f"/api/v1/fast/leaderboard?as_of={DAY}&limit="
            asking = [spawn(insight.ask(f"{path}{next(limits)}"), name="ask") for _ in range(20)]
            await eventually(lambda: sum(one.done() for one in asking) == 12)
            refused = [one.result() for one in asking if one.done()]
        answers = [await one for one in asking]
    assert len(refused) == 12
    assert all(one.status == 503 and one.headers["Retry-After"] for one in refused)
    assert Counter(one.status for one in answers) == {200: 8, 503: 12}
