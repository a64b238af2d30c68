"""An import that is killed (kill -9) leaves nothing half, and the next one takes it all."""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import date, timedelta
from pathlib import Path

import pytest

from tests.insight.stores import Line, dump, take, write
from tests.peers.component_program import ROOT
from tests.peers.postgres import PostgresServer
from uaitools.insight.store.generations import Generations
from uaitools.insight.store.opening import Store

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])  # another process does the work

DAY = date(2024, 2, 11)
MANY = 5_000


def lines(day: int) -> list[Line]:
    said = "a description of so many words that it takes a while to find them all"
    return [Line(f"a/r{at}", at + day, at, "Go", f"{said} {day} {at}") for at in range(MANY)]


@pytest.mark.parametrize(
    "moment",
    ["rows of 2024-02-12", "2024-02-12: looking up", "2024-02-13: looking up", "trends as"],
)
async def test_a_killed_import_leaves_nothing(
    postgres: PostgresServer, store: Store, tmp_path: Path, moment: str
) -> None:
    await take(store, write(tmp_path, DAY, lines(0)[:50]))
    before = await dump(store)
    paths = [write(tmp_path, DAY + timedelta(day), lines(day)) for day in (1, 2)]
    async with store.pool.acquire() as connection:
        database = await connection.fetchval("SELECT current_database()")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "uaitools.insight", "import", "csv", *map(str, paths)),
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": postgres.url(database, "postgres")},
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    async for line in process.stderr:
        if moment in line.decode():
            break
    else:
        raise AssertionError("it ended too soon")
    process.kill()
    await process.communicate()
    assert await dump(store) == before
    assert (await Generations(store.pool).state()).generation == 1
    done = await take(store, *paths)  # waits for the end of what the other one had begun
    assert (done.generation, done.files, done.rows) == (2, 2, 2 * MANY)
    assert len((await dump(store))["snapshots"]) == 50 + 2 * MANY
