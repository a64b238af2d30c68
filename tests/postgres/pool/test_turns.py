"""Whose turn it is to have a connection, and how many there are."""

from __future__ import annotations

import asyncio
import random
from typing import Any
from uuid import uuid4

import pytest

from tests.peers.gateways import eventually
from tests.postgres.pool.pools import Clock, counts, pid_of, pool_of
from uaitools.metrics import Snapshot
from uaitools.postgres.access import Access
from uaitools.postgres.database import Database
from uaitools.postgres.errors import DatabaseAway, PoolExhausted
from uaitools.postgres.pool_settings import PoolSettings
from uaitools.tasks import spawn


async def test_a_connection_that_comes_back_is_lent_again(database: Database) -> None:
    async with pool_of(database) as pool:
        assert await pid_of(pool) == await pid_of(pool)
        assert counts(pool)["opened_total"] == 1


async def test_of_idle_connections_the_one_used_last_is_lent_first(database: Database) -> None:
    async with pool_of(database) as pool:
        async with pool.acquire() as first:
            async with pool.acquire() as second:
                assert first is not second
            async with pool.acquire() as again:
                assert again is second
        async with pool.acquire() as last:
            assert last is first


@pytest.mark.parametrize("wrong", [{"size": 0}, {"idle": -1}, {"waiting": -1}])
def test_a_pool_of_nothing_is_no_pool(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least one connection"):
        PoolSettings(**wrong)


async def test_json_is_read_and_written_as_values(database: Database) -> None:
    async with pool_of(database) as pool, pool.acquire() as connection:
        value = {"a": [1, None, "ä"]}

        assert await connection.fetchval("SELECT $1::jsonb", value) == value


async def test_there_are_never_more_connections_than_allowed_and_who_waits_has_turns(
    database: Database,
) -> None:
    order: list[int] = []

    async def use(number: int) -> None:
        async with pool.acquire():
            order.append(number)

    async with pool_of(database) as pool:
        async with pool.acquire(), pool.acquire():
            users = []
            for number in range(10):
                users.append(spawn(use(number), name=f"user {number}"))
                await asyncio.sleep(0)
            await eventually(lambda: counts(pool)["waiting"] == 10)
            assert order == []
        await asyncio.gather(*users)

        assert order == list(range(10))
        assert counts(pool) == {
            "connections": 2,
            "connections_idle": 2,
            "waiting": 0,
            "opened_total": 2,
            "waits_total": 10,
            "refused_total": 0,
        }
        assert len(Snapshot.of(pool.samples()).families) == 6
        assert repr(pool) == "<Pool memory size=2/2 idle=2 waiting=0>"


async def test_who_gets_none_in_time_is_told_to_come_again(database: Database) -> None:
    async with pool_of(database, size=1, wait=0.05) as pool:
        async with pool.acquire():
            with pytest.raises(PoolExhausted) as raised:
                await pid_of(pool)
        assert (raised.value.code, raised.value.service) == (503, "memory")
        assert raised.value.retry_after

        assert await pid_of(pool)
        assert counts(pool)["refused_total"] == 1


async def test_no_more_may_wait_than_allowed(database: Database) -> None:
    async with pool_of(database, size=1, waiting=1) as pool:
        async with pool.acquire():
            waiting = spawn(pid_of(pool), name="waiting")
            await eventually(lambda: counts(pool)["waiting"] == 1)
            with pytest.raises(PoolExhausted):
                await pid_of(pool)
        await waiting


async def test_who_is_cancelled_while_waiting_gives_up_the_turn(database: Database) -> None:
    async with pool_of(database, size=1) as pool:
        async with pool.acquire():
            users = [spawn(pid_of(pool), name="user") for _ in range(3)]
            await eventually(lambda: counts(pool)["waiting"] == 3)
            users[0].cancel()
            users[2].cancel()
            await asyncio.gather(*users[::2], return_exceptions=True)
            assert counts(pool)["waiting"] == 1
        await users[1]

        assert counts(pool)["connections_idle"] == 1


async def test_a_turn_that_comes_together_with_a_cancellation_goes_to_the_next(
    database: Database,
) -> None:
    async with pool_of(database, size=1) as pool:
        async with pool.acquire():
            users = [spawn(pid_of(pool), name="user") for _ in range(2)]
            await eventually(lambda: counts(pool)["waiting"] == 2)
        users[0].cancel()  # it has the connection already, and does not know
        with pytest.raises(asyncio.CancelledError):
            await users[0]

        assert await users[1]


async def test_who_is_cancelled_while_opening_leaves_room_for_others(database: Database) -> None:
    async with pool_of(database, size=1) as pool:
        for turns in range(8):
            opening = spawn(pid_of(pool), name="opening")
            for _ in range(turns):
                await asyncio.sleep(0)
            opening.cancel()
            await asyncio.gather(opening, return_exceptions=True)

        assert await pid_of(pool)
        assert counts(pool)["connections"] == 1


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_happens_to_users_and_sessions_the_pool_keeps_its_bounds(
    database: Database, admin: Any, seed: int
) -> None:
    dice = random.Random(seed)
    clock = Clock()
    using: set[object] = set()
    most = 0

    async def use() -> None:
        nonlocal most
        async with pool.acquire() as connection:
            assert connection not in using
            using.add(connection)
            most = max(most, len(using))
            try:
                match dice.randrange(6):
                    case 0:
                        await connection.execute("SELECT pg_sleep(0.01)")
                    case 1:
                        await connection.execute("BEGIN")
                    case 2:
                        raise LookupError
                    case 3:
                        clock.now += 1
                    case _:
                        assert await connection.fetchval("SELECT $1::int", seed) == seed
            finally:
                using.discard(connection)

    async with pool_of(database, clock, size=4, idle=3, lifetime=20, health=5) as pool:
        users: list[asyncio.Task[None]] = []
        for turn in range(300):
            users.append(spawn(use(), name="user"))
            if dice.random() < 0.3:
                dice.choice(users).cancel()
            if dice.random() < 0.2:
                await asyncio.sleep(0.001)
            if turn % 60 == 59:
                await admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1",
                    database.service.arguments["database"],
                )
            pool.retire()
        outcomes = await asyncio.gather(*users, return_exceptions=True)
        expected = (asyncio.CancelledError, LookupError, DatabaseAway)
        assert [o for o in outcomes if o is not None and not isinstance(o, expected)] == []

        assert most == 4
        await eventually(lambda: counts(pool)["connections"] == counts(pool)["connections_idle"])
        assert counts(pool)["waiting"] == 0
        assert await pid_of(pool)


async def limited_access(admin: Any, database: Database, most: int) -> Access:
    """As a role of which the server takes so many connections; superusers have no limit."""
    role = f"few_{uuid4().hex}"
    await admin.execute(f"CREATE ROLE {role} LOGIN CONNECTION LIMIT {most}")
    return Access({**database.service.arguments, "user": role})


async def test_where_the_server_has_no_more_room_those_that_there_are_have_turns(
    database: Database, admin: Any
) -> None:
    async def use(number: int) -> None:
        async with pool.acquire() as connection:
            assert await connection.fetchval("SELECT 1") == 1
            done.append(number)

    done: list[int] = []
    access = await limited_access(admin, database, 2)
    async with pool_of(access, size=9) as pool:
        async with pool.acquire(), pool.acquire():
            users = [spawn(use(number), name=f"user {number}") for number in range(20)]
            await eventually(lambda: counts(pool)["waiting"] == 20)
            assert done == []
        await asyncio.gather(*users)
        assert sorted(done) == list(range(20))
        assert counts(pool)["connections"] == 2


async def test_a_server_that_has_room_again_is_made_use_of(database: Database, admin: Any) -> None:
    async def use() -> None:
        async with pool.acquire():
            await enough.wait()

    enough = asyncio.Event()
    access = await limited_access(admin, database, 1)
    async with pool_of(access, size=3) as pool:
        users = [spawn(use(), name="user 0")]
        await eventually(lambda: counts(pool)["opened_total"] == 1)
        users += [spawn(use(), name=f"user {number}") for number in (1, 2)]
        await eventually(lambda: counts(pool)["waiting"] == 2)
        await admin.execute(f"ALTER ROLE {access.arguments['user']} CONNECTION LIMIT 3")
        pool.retire()
        await eventually(lambda: counts(pool)["opened_total"] == 3)
        enough.set()
        await asyncio.gather(*users)


async def test_a_server_that_has_no_room_at_all_keeps_nobody_waiting(
    database: Database, admin: Any
) -> None:
    access = await limited_access(admin, database, 0)
    async with pool_of(access, size=3) as pool:
        told = await asyncio.gather(*(pid_of(pool) for _ in range(9)), return_exceptions=True)
        assert {type(one) for one in told} <= {DatabaseAway, *DatabaseAway.__subclasses__()}
        assert counts(pool)["connections"] == counts(pool)["waiting"] == 0
        await admin.execute(f"ALTER ROLE {access.arguments['user']} CONNECTION LIMIT 3")
        assert await pid_of(pool)
