"""The embedded cluster, with real processes: who starts and stops it, and what survives a kill."""

from __future__ import annotations

import asyncio
import os
import select
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.peers.cluster_program import cluster_program
from tests.peers.gateways import eventually, settled
from uaitools.postgres.database import open_database
from uaitools.postgres.embedded.cluster import Cluster
from uaitools.postgres.embedded.locks import is_free
from uaitools.postgres.embedded.server import Server, remove, stop, told_by
from uaitools.postgres.errors import ClusterError, DatabaseAway
from uaitools.postgres.pool import Pool
from uaitools.postgres.pool_settings import PoolSettings
from uaitools.tasks import spawn

QUICK = {"fsync": "off"}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A directory whose server, if any, is ended after the test."""
    place = tmp_path / "data"
    yield place
    if (place / "postgres").exists():
        cluster = Cluster(place)
        cluster._prepare()  # noqa: SLF001 - no server is started for this
        if not cluster._has_ended():  # noqa: SLF001
            server = told_by(place / "postgres/data")
            assert server is not None
            stop(server, cluster._has_ended, 10)  # noqa: SLF001
            remove(server.sockets)


async def ask(server: Server | str, query: str, **login: Any) -> Any:
    """What one query answers."""
    sockets = server if isinstance(server, str) else str(server.sockets)
    arguments = {"user": "postgres", "database": "postgres", **login}
    connection = await asyncpg.connect(host=sockets, port=5432, **arguments)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def write(server: Server | str) -> None:
    await ask(server, "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS id")


async def count(server: Server | str) -> Any:
    return await ask(server, "SELECT count(*) FROM kept")


async def kill(server: Server) -> None:
    """Kill a server's process; when this returns it is dead."""
    descriptor = os.pidfd_open(server.pid())
    os.kill(server.pid(), signal.SIGKILL)
    await eventually(lambda: select.select([descriptor], [], [], 0)[0])
    os.close(descriptor)


def has_ended(place: Path) -> bool:
    cluster = Cluster(place)
    cluster._prepare()  # noqa: SLF001 - sees who owns it
    return cluster._has_ended()  # noqa: SLF001


async def test_it_speaks_unicode_in_utc_on_a_socket_alone_with_room_for_all_pools(
    place: Path,
) -> None:
    cluster = Cluster(place, settings=QUICK)
    server = cluster.enter()
    wanted = {
        "SHOW server_encoding": "UTF8",
        "SHOW listen_addresses": "",
        "SHOW timezone": "UTC",
        "SHOW max_connections": "500",
        "SELECT lower('ÄRGER') || upper('é')": "ärgerÉ",
        "SELECT to_tsvector('simple', 'Ärger') = to_tsvector('simple', 'ärger')": True,
        "SELECT 'Z' < 'a'": True,
    }
    assert {query: await ask(server, query) for query in wanted} == wanted
    assert server.sockets.stat().st_mode & 0o777 == 0o700
    assert (place / "postgres/data").stat().st_mode & 0o777 == 0o700

    assert cluster.leave()
    assert not server.sockets.exists()
    assert has_ended(place)


async def test_what_was_written_is_there_after_a_stop(place: Path) -> None:
    cluster = Cluster(place)
    await write(cluster.enter())
    cluster.leave()

    assert await count(cluster.enter()) == 1000
    cluster.leave()


async def test_who_comes_later_attaches_and_who_leaves_last_stops_it(place: Path) -> None:
    with cluster_program(place) as first, cluster_program(place) as second:
        one, two = first.entered(), second.entered()
        assert one == two
        assert first.leave() is False
        assert await ask(two["sockets"], "SELECT 1") == 1
        assert second.leave() is True

    assert has_ended(place)


async def test_several_users_in_one_process_count_each(place: Path) -> None:
    first, second = Cluster(place), Cluster(place)
    server = first.enter()
    assert second.enter() == server
    assert not first.leave()
    assert await ask(server, "SELECT 1") == 1
    assert second.leave()


async def test_who_is_killed_has_left(place: Path) -> None:
    with cluster_program(place) as killed, cluster_program(place) as other:
        assert killed.entered() == other.entered()
        killed.kill()
        assert other.leave() is True


async def test_a_server_whose_users_were_all_killed_is_adopted(place: Path) -> None:
    with cluster_program(place) as killed:
        orphan = killed.entered()
        await write(orphan["sockets"])
        killed.kill()
    assert await count(orphan["sockets"]) == 1000

    with cluster_program(place) as adopting:
        assert adopting.entered() == orphan
        assert adopting.leave() is True
    assert has_ended(place)


async def test_an_interrupt_at_the_terminal_is_for_the_program_alone(place: Path) -> None:
    with cluster_program(place) as first, cluster_program(place) as second:
        said = first.entered()
        assert second.entered() == said
        first.interrupt()
        for _ in range(20):
            assert await ask(said["sockets"], "SELECT 1") == 1
        assert second.leave() is True


async def test_a_killed_server_recovers_what_was_committed(place: Path) -> None:
    cluster = Cluster(place)
    server = cluster.enter()
    await write(server)
    await kill(server)

    again = cluster.revive()
    assert again.sockets == server.sockets  # where the pools of others look for it
    assert await count(again) == 1000
    assert cluster.leave()


async def test_a_leftover_of_a_kill_of_everything_is_no_obstacle(place: Path) -> None:
    with cluster_program(place) as killed:
        left = killed.entered()
        await write(left["sockets"])
        os.kill(left["pid"], signal.SIGKILL)
        killed.kill()
    await eventually(lambda: has_ended(place))
    # Another process has its number by now, of the same user: PostgreSQL would not start.
    data = place / "postgres/data"
    with subprocess.Popen(["sleep", "60"], user=data.stat().st_uid) as stranger:  # noqa: ASYNC220
        for stale in (data / "postmaster.pid", Path(left["sockets"], ".s.PGSQL.5432.lock")):
            lines = stale.read_text().splitlines(keepends=True)
            stale.write_text("".join([f"{stranger.pid}\n", *lines[1:]]))
        cluster = Cluster(place)
        assert await count(cluster.enter()) == 1000
        cluster.leave()
        assert stranger.poll() is None
        stranger.kill()


async def test_programs_that_start_together_on_nothing_share_one(place: Path) -> None:
    with cluster_program(place) as a, cluster_program(place) as b, cluster_program(place) as c:
        programs = [a, b, c]
        said = [program.entered() for program in programs]
        assert said[0] == said[1] == said[2]
        assert [program.leave() for program in programs] == [False, False, True]


async def test_who_is_killed_while_making_it_leaves_no_half_of_one(place: Path) -> None:
    cluster = Cluster(place, settings=QUICK)
    cluster.enter()
    cluster.leave()
    data = place / "postgres/data"
    data.rename(data.with_name(".new-data"))
    (data.with_name(".new-data") / "PG_VERSION").unlink()
    (place / "postgres/.new-install-x").mkdir()

    assert await ask(cluster.enter(), "SELECT 1") == 1
    cluster.leave()
    assert [path.name for path in (place / "postgres").glob(".new-*")] == []


async def test_a_long_path_is_no_obstacle(place: Path) -> None:
    long = place / ("x" * 100) / ("y" * 100)
    cluster = Cluster(long, settings=QUICK)
    server = cluster.enter()
    assert len(os.fsencode(server.socket)) <= 107
    assert await ask(server, "SELECT 1") == 1
    assert cluster.leave()


async def test_a_service_goes_on_after_its_server_was_killed(place: Path) -> None:
    database = await open_database(None, place, "memory")
    pool = Pool(database.service, PoolSettings(size=2, wait=5), name="memory")
    await pool.start()
    server = told_by(place / "postgres/data")
    assert server is not None
    for _ in range(2):
        async with pool.acquire() as connection:
            assert await connection.fetchval("SELECT 1") == 1
        before = server.pid()
        await kill(server)

        async def answers() -> bool:
            try:
                async with pool.acquire() as connection:
                    return bool(await connection.fetchval("SELECT 1"))
            except DatabaseAway:
                return False

        await eventually(server.answers)
        await settled(answers)
        assert server.pid() != before
    await pool.stop()
    await database.close()


@pytest.mark.parametrize("after", [0.0, 0.1, 0.5])
async def test_a_start_that_is_cancelled_leaves_no_server(place: Path, after: float) -> None:
    opening = spawn(open_database(None, place, "memory"), name="opening")
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(opening), after)
    opening.cancel()
    with suppress(asyncio.CancelledError):
        await (await opening).close()  # it was done already

    assert has_ended(place)


async def cancelled_again_and_again(task: asyncio.Task[Any]) -> bool:
    """Whether it was, once it is done."""
    await asyncio.sleep(0)  # it begins
    while not task.done():
        task.cancel()
        await asyncio.wait((task,), timeout=0.01)
    return task.cancelled()


async def test_who_is_cancelled_again_and_again_returns_when_the_server_has_ended(
    place: Path,
) -> None:
    database = await open_database(None, place, "memory")
    assert await cancelled_again_and_again(spawn(database.close(), name="closing"))
    shutil.rmtree(place)  # nobody writes there any more
    opening = spawn(open_database(None, place, "memory"), name="opening")
    await eventually((place / "postgres").exists)
    assert await cancelled_again_and_again(opening)
    assert has_ended(place)
    shutil.rmtree(place)


async def test_a_socket_whose_directory_was_tidied_away_comes_back_there(place: Path) -> None:
    cluster = Cluster(place)
    server = cluster.enter()
    pid = server.pid()
    shutil.rmtree(server.sockets)
    os.kill(pid, signal.SIGKILL)
    await eventually(lambda: has_ended(place))

    assert cluster.revive().sockets == server.sockets
    assert await ask(server, "SELECT 1") == 1
    assert cluster.leave()
    assert cluster.leave() is False  # once is enough


async def test_components_have_a_database_each(place: Path) -> None:
    memory = await open_database(None, place, "memory")
    insight = await open_database(None, place, "insight")
    for database in (memory, insight):
        connection = await database.service.connect()
        where = await connection.fetchrow("SELECT current_database(), current_schema()")
        await connection.close()
        assert tuple(where or ()) == (database.name, database.name)
    await memory.close()
    assert not has_ended(place)
    await insight.close()
    assert has_ended(place)


@pytest.mark.parametrize(
    ("version", "reason"), [("99", "the data is of PostgreSQL 99"), ("?", "holds no cluster")]
)
def test_data_that_is_of_another_version_is_left_alone(
    place: Path, version: str, reason: str
) -> None:
    cluster = Cluster(place, settings=QUICK)
    cluster.enter()
    cluster.leave()
    (place / "postgres/data/PG_VERSION").write_text(version)
    with pytest.raises(ClusterError, match=reason):
        cluster.enter()
    (place / "postgres/data/PG_VERSION").write_text("18\n")
    cluster.enter()
    assert cluster.leave()


def test_a_server_that_does_not_start_says_why(place: Path) -> None:
    with pytest.raises(ClusterError, match="no_such_setting"):
        Cluster(place, settings={"no_such_setting": "1"}).enter()
    assert has_ended(place)
    cluster = Cluster(place)
    cluster.enter()  # and holds nobody up
    assert cluster.leave()


def test_a_directory_that_cannot_be_made_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ClusterError, match="cannot be started"):
        Cluster(tmp_path / "file" / "data").enter()


def test_a_server_in_another_container_is_not_disturbed(place: Path) -> None:
    cluster = Cluster(place, settings=QUICK)
    server = cluster.enter()
    hidden = server.sockets.with_name(f"{server.sockets.name}-hidden")
    server.sockets.rename(hidden)
    with pytest.raises(ClusterError, match="another container"):
        Cluster(place).enter()
    hidden.rename(server.sockets)
    assert cluster.leave()


def test_whether_a_lock_is_free_can_be_seen_without_making_it(tmp_path: Path) -> None:
    assert is_free(tmp_path / "use.lock")
    assert list(tmp_path.iterdir()) == []


def test_locks_are_free_when_their_holder_was_killed(place: Path) -> None:
    with cluster_program(place) as program:
        program.entered()
        lock = place / "postgres/use.lock"
        assert not is_free(lock)
        program.kill()
        assert is_free(lock)
