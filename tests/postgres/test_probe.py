"""Whether a database answers."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from uuid import uuid4

from tests.peers.gateways import eventually
from tests.peers.postgres import PostgresServer
from uaitools.postgres.access import Access
from uaitools.postgres.database import Database
from uaitools.postgres.pool import Pool
from uaitools.postgres.probe import Probe

OURS = (
    "SELECT pid FROM pg_stat_activity"
    " WHERE application_name = 'uaitools memory probe' AND datname = current_database()"
)


async def test_a_database_that_comes_and_goes_is_found_out(
    postgres: PostgresServer, database: Database, tmp_path: Path
) -> None:
    place = tmp_path / "s"
    access = Access({**database.service.arguments, "host": str(place)})
    probe = Probe(access, name="memory", every=0.01)
    await probe.start()
    try:
        await eventually(lambda: probe.failing)
        assert [sample.value for sample in probe.samples()] == [0.0]
        place.symlink_to(postgres.server.sockets)
        await eventually(lambda: not probe.failing)
        assert [sample.value for sample in probe.samples()] == [1.0]
    finally:
        await probe.stop()


async def test_a_session_that_says_nothing_is_given_up_for_another(
    database: Database,
) -> None:
    async def session() -> int | None:
        connection = await database.service.connect()
        pid: int | None = await connection.fetchval(OURS)
        await connection.close()
        return pid

    probe = Probe(database.service, name="memory", every=0.01, patience=0.2)
    await probe.start()
    try:
        while not (pid := await session()):
            pass
        os.kill(pid, signal.SIGSTOP)
        try:
            await eventually(lambda: probe.failing == "TimeoutError")
            await eventually(lambda: not probe.failing)
        finally:
            os.kill(pid, signal.SIGCONT)
    finally:
        await probe.stop()


async def test_a_database_that_takes_no_writes_is_not_well(
    postgres: PostgresServer, database: Database
) -> None:
    name = database.service.arguments["database"]
    admin = await postgres.connect()
    probe = Probe(database.service, name="memory", every=0.01)
    try:
        await admin.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        await probe.start()
        await eventually(lambda: probe.failing)
        await admin.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        await eventually(lambda: not probe.failing)
    finally:
        await probe.stop()
        await admin.close()


async def test_a_server_without_room_for_the_probe_is_well_while_the_pool_has_connections(
    postgres: PostgresServer, database: Database
) -> None:
    admin = await postgres.connect()
    role = f"few_{uuid4().hex}"
    await admin.execute(f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 1")
    await admin.close()
    access = Access({**database.service.arguments, "user": role})
    pool = Pool(access, name="memory")
    probe = Probe(access, pool, name="memory", every=0.01)
    alone = Probe(access, name="memory", every=0.01)
    try:
        async with pool.acquire():
            await alone.start()
            await eventually(lambda: alone.failing)
            probe.failing = "before"
            await probe.start()
            await eventually(lambda: not probe.failing)
    finally:
        await probe.stop()
        await alone.stop()
        await pool.stop()
