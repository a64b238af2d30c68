"""A connection is lent for a while only, whatever the server does meanwhile."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from tests.peers.gateways import settled
from tests.postgres.pool.pools import counts, pid_of, pool_of
from uaitools.postgres.database import Database
from uaitools.postgres.errors import DatabaseAway, TooSlow
from uaitools.postgres.pool import Pool


async def stand_still(pool: Pool, pid: int) -> None:
    """The server does, in a transaction: it hears neither what comes then nor ROLLBACK."""
    async with pool.acquire(limit=0.1) as connection, connection.transaction():
        os.kill(pid, signal.SIGSTOP)
        await connection.execute("SELECT 1")


async def sleep(pool: Pool, *, inside: bool) -> None:
    async with pool.acquire(limit=0.1) as connection:
        if inside:
            async with connection.transaction():
                await connection.execute("SELECT pg_sleep(60)")
        await connection.execute("SELECT pg_sleep(60)")


@pytest.mark.parametrize("inside", [False, True], ids=["alone", "in a transaction"])
async def test_what_takes_too_long_is_broken_off_here_and_there(
    database: Database, admin: Any, inside: bool
) -> None:
    async def rests() -> bool:
        state = "SELECT state FROM pg_stat_activity WHERE pid = $1"
        return bool(await admin.fetchval(state, pid) == "idle")

    async with pool_of(database, size=1) as pool:
        pid = await pid_of(pool)
        with pytest.raises(TooSlow) as raised:
            await sleep(pool, inside=inside)
        assert raised.value.code == 504
        await settled(rests)
        assert await pid_of(pool) == pid  # it is as good as before


async def test_a_server_that_stands_still_keeps_nobody(database: Database) -> None:
    async with pool_of(database, size=1) as pool:
        pid = await pid_of(pool)
        os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(TooSlow):
                await sleep(pool, inside=False)
            assert await pid_of(pool) != pid
        finally:
            os.kill(pid, signal.SIGCONT)


async def test_nobody_waits_for_the_end_of_a_transaction_that_cannot_be_had(
    database: Database,
) -> None:
    async with pool_of(database, size=1) as pool:
        pid = await pid_of(pool)
        try:
            with pytest.raises(TooSlow):
                await stand_still(pool, pid)
            assert await pid_of(pool) != pid
        finally:
            os.kill(pid, signal.SIGCONT)


async def test_a_time_limit_of_the_callers_own_is_no_error_of_the_database(
    database: Database,
) -> None:
    async with pool_of(database) as pool:
        with pytest.raises(TimeoutError, match="a body"):
            async with pool.acquire(limit=60):
                raise TimeoutError("a body")
        assert counts(pool)["connections_idle"] == 1


async def test_a_transaction_that_stands_still_on_our_side_is_ended_and_its_locks_are_free(
    database: Database, admin: Any
) -> None:
    async def ended() -> bool:
        return not await admin.fetchval("SELECT 1 FROM pg_stat_activity WHERE pid = $1", pid)

    async def rest() -> None:
        async with pool.acquire() as connection, connection.transaction():
            assert connection.get_server_pid() == pid
            await connection.execute("SELECT pg_advisory_xact_lock(1), pg_sleep(0.2)")
            await settled(ended)
            async with pool.acquire() as other:
                await other.execute("SELECT pg_advisory_lock(1)")
            await connection.execute("SELECT 1")

    async with pool_of(database, still=0.1) as pool:
        pid = await pid_of(pool)
        with pytest.raises(DatabaseAway):
            await rest()
        assert await pid_of(pool) != pid


async def test_the_server_finds_out_by_itself_that_a_clients_machine_is_gone(
    database: Database,
) -> None:
    async with pool_of(database) as pool, pool.acquire() as connection:
        told = "SELECT name FROM pg_settings WHERE source = 'client' AND name LIKE 'tcp%'"
        assert {name for (name,) in await connection.fetch(told)} == {
            "tcp_keepalives_count",
            "tcp_keepalives_idle",
            "tcp_keepalives_interval",
            "tcp_user_timeout",
        }
