"""Connections end by age, with their server or with the pool, and nobody gets one that has."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import AsyncExitStack, nullcontext, suppress
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.peers.gateways import eventually, settled
from tests.peers.postgres import PostgresServer
from tests.postgres.pool.pools import Clock, counts, pid_of, pool_of, query_of
from uaitools.errors import ServiceError
from uaitools.postgres.access import Access
from uaitools.postgres.database import Database
from uaitools.postgres.errors import DatabaseAway
from uaitools.tasks import spawn


async def test_nobody_gets_a_connection_whose_session_was_ended(
    database: Database, admin: Any
) -> None:
    async with pool_of(database) as pool:
        for _ in range(5):
            pid = await pid_of(pool)
            assert await admin.fetchval("SELECT pg_terminate_backend($1, 5000)", pid)
            async with pool.acquire() as connection:
                assert await connection.fetchval("SELECT 1") == 1


async def test_a_query_whose_session_ends_says_that_the_database_is_away(
    database: Database, admin: Any
) -> None:
    async def sleep() -> None:
        async with pool.acquire() as connection:
            pids.append(connection.get_server_pid())
            await connection.execute("SELECT pg_sleep(60)")

    pids: list[int] = []
    async with pool_of(database, size=1) as pool:
        sleeping = spawn(sleep(), name="sleeping")
        await eventually(lambda: pids)

        async def sleeps() -> bool:
            return "pg_sleep" in (await query_of(admin, pids[0]) or "")

        await settled(sleeps)
        await admin.fetchval("SELECT pg_terminate_backend($1, 5000)", pids[0])
        with pytest.raises(DatabaseAway) as raised:
            await sleeping

        assert raised.value.code == 503
        assert raised.value.retry_after
        assert await pid_of(pool) != pids[0]


async def test_errors_that_are_not_the_connections_stay_what_they_are(database: Database) -> None:
    async with pool_of(database) as pool:
        pid = await pid_of(pool)
        with pytest.raises(asyncpg.UndefinedTableError):
            async with pool.acquire() as connection:
                await connection.execute("SELECT * FROM nowhere")
        for error in (OSError("of a file"), asyncpg.InterfaceError("of a call")):
            with pytest.raises(type(error), match="of a"):
                async with pool.acquire():
                    raise error

        assert await pid_of(pool) == pid


async def test_a_transaction_that_was_left_open_is_rolled_back(database: Database) -> None:
    async with pool_of(database, size=1) as pool:
        async with pool.acquire() as connection:
            await connection.execute("BEGIN; CREATE TEMPORARY TABLE left_over ()")
        async with pool.acquire() as next_one:
            assert next_one is connection
            assert not next_one.is_in_transaction()
            assert await next_one.fetchval("SELECT to_regclass('left_over')") is None


@pytest.mark.parametrize("inside", [True, False])
async def test_a_query_that_was_cancelled_disturbs_nobody(database: Database, inside: bool) -> None:
    async def sleep() -> None:
        async with pool.acquire() as connection:
            with suppress(TimeoutError) if inside else nullcontext():
                async with asyncio.timeout(0.02):
                    await connection.execute("BEGIN; SELECT pg_sleep(60)")

    async with pool_of(database, size=1) as pool:
        for _ in range(5):
            with suppress(TimeoutError):
                await sleep()
            async with pool.acquire() as connection:
                assert not connection.is_in_transaction()
                assert await connection.fetchval("SELECT 42") == 42


async def test_a_transaction_that_was_cancelled_as_it_began_is_not_gone_on_with(
    database: Database,
) -> None:
    async def begin() -> None:
        async with pool.acquire() as connection, connection.transaction():
            pass

    async with pool_of(database, size=1) as pool:
        await begin()
        beginning = spawn(begin(), name="begin")
        await asyncio.sleep(0)  # BEGIN is on its way
        beginning.cancel()
        await asyncio.wait({beginning})
        assert beginning.cancelled()
        assert pool.opened == 1
        await begin()


async def test_a_connection_is_replaced_when_its_time_has_come(database: Database) -> None:
    clock = Clock()
    async with pool_of(database, clock, lifetime=300, health=1e9, idle_time=1e9) as pool:
        pid = await pid_of(pool)
        clock.now += 269.9  # less a tenth at most
        assert await pid_of(pool) == pid
        clock.now += 30.2
        second = await pid_of(pool)
        assert second != pid

        async with pool.acquire() as connection:  # also one that was in use meanwhile
            assert connection.get_server_pid() == second
            clock.now += 300
        assert counts(pool)["connections"] == 0


async def test_connections_that_were_opened_together_do_not_end_together(
    database: Database,
) -> None:
    clock = Clock()
    async with pool_of(database, clock, size=12, lifetime=300, idle_time=1e9) as pool:
        async with AsyncExitStack() as stack:
            for _ in range(12):
                await stack.enter_async_context(pool.acquire())
        left = []
        for _ in range(31):
            pool.retire()
            left.append(counts(pool)["connections"])
            clock.now += 1 if left[1:] else 270

        assert left[0] == 12
        assert len(set(left)) > 3
        clock.now += 1
        pool.retire()
        assert counts(pool)["connections"] == 0


async def test_idle_connections_are_closed_after_a_while(database: Database) -> None:
    clock = Clock()
    async with pool_of(database, clock, idle_time=60) as pool:
        async with pool.acquire() as first, pool.acquire():
            pass
        clock.now += 59
        await pid_of(pool)
        assert counts(pool)["connections_idle"] == 2
        clock.now += 1
        pool.retire()
        assert counts(pool)["connections_idle"] == 1
        async with pool.acquire() as kept:
            assert kept is first


async def test_no_more_idle_connections_are_kept_than_allowed(database: Database) -> None:
    async with pool_of(database, size=3, idle=1) as pool:
        async with pool.acquire(), pool.acquire(), pool.acquire():
            assert counts(pool)["connections"] == 3
        assert counts(pool)["connections"] == counts(pool)["connections_idle"] == 1


async def test_a_connection_is_asked_before_use_when_it_was_idle_for_long(
    database: Database, admin: Any
) -> None:
    clock = Clock()
    async with pool_of(database, clock, health=60, idle_time=1e9) as pool:
        async with pool.acquire() as connection:
            await connection.execute("SELECT 'last'")
            pid = connection.get_server_pid()
        for passes, query in ((59, "SELECT 'last'"), (60, "SELECT 1")):
            clock.now += passes
            assert await pid_of(pool) == pid
            assert await query_of(admin, pid) == query


async def test_a_connection_that_does_not_answer_is_replaced(database: Database) -> None:
    clock = Clock()
    async with pool_of(database, clock, health=60, idle_time=1e9) as pool:
        pid = await pid_of(pool)
        os.kill(pid, signal.SIGSTOP)
        try:
            clock.now += 61
            assert await pid_of(pool) != pid
        finally:
            os.kill(pid, signal.SIGCONT)


async def test_a_database_that_is_away_is_a_503_and_comes_back(
    postgres: PostgresServer, database: Database, tmp_path: Path
) -> None:
    place = tmp_path / "s"
    access = Access({**database.service.arguments, "host": str(place)})
    async with pool_of(access, size=1) as pool:
        with pytest.raises(DatabaseAway) as raised:
            await pid_of(pool)
        assert isinstance(raised.value, ServiceError)
        assert str(place) not in raised.value.message
        assert pool.failing
        place.symlink_to(postgres.server.sockets)

        assert await pid_of(pool)
        assert not pool.failing


async def test_a_server_that_says_nothing_is_given_up(tmp_path: Path) -> None:
    async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        silent.append(writer)

    silent: list[asyncio.StreamWriter] = []
    server = await asyncio.start_unix_server(accept, tmp_path / ".s.PGSQL.5432")
    access = Access({"host": str(tmp_path), "port": 5432, "user": "x", "database": "x"})
    async with pool_of(access, wait=0.05) as pool:
        with pytest.raises(DatabaseAway):
            await pid_of(pool)
        assert counts(pool)["connections"] == 0
    server.close()
    for writer in silent:
        writer.close()


async def test_a_stop_closes_everything_and_tells_who_waits(database: Database, admin: Any) -> None:
    async def gone() -> bool:
        return not await admin.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = $1",
            database.service.arguments["database"],
        )

    async def outstay() -> None:
        async with pool.acquire() as connection:
            holding.set()
            await settled(gone)
            await connection.execute("SELECT 1")

    holding = asyncio.Event()
    async with pool_of(database, size=1, grace=0.01) as pool:
        outstaying = spawn(outstay(), name="outstaying")
        await holding.wait()
        waiting = spawn(pid_of(pool), name="waiting")
        await eventually(lambda: counts(pool)["waiting"] == 1)
        await pool.stop()
        for told in (waiting, outstaying):
            with pytest.raises(DatabaseAway):
                await told
        with pytest.raises(DatabaseAway):
            await pid_of(pool)

        assert counts(pool)["connections"] == 0


async def test_a_stop_waits_for_who_has_a_connection(database: Database) -> None:
    async with pool_of(database, grace=30) as pool:
        async with pool.acquire() as connection:
            stopping = spawn(pool.stop(), name="stopping")
            await asyncio.sleep(0)
            assert await connection.fetchval("SELECT 7") == 7
            assert not stopping.done()
        await stopping


@pytest.mark.parametrize("code", ["25006", "53100", "53200"])
async def test_a_server_that_cannot_write_is_away_and_its_connection_is_not_kept(
    database: Database, code: str
) -> None:
    async def fail() -> None:
        async with pool.acquire() as connection:
            await connection.execute(f"DO $$ BEGIN RAISE 'no' USING ERRCODE = '{code}'; END $$")

    async with pool_of(database) as pool:
        pid = await pid_of(pool)
        with pytest.raises(DatabaseAway) as raised:
            await fail()
        assert (raised.value.code, raised.value.retry_after) == (503, 1)
        assert await pid_of(pool) != pid
