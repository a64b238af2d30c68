"""kill -9 at random points while clients write: what was answered holds, and the index follows."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

from tests.memory.api.served import Visitor
from tests.memory.crashes.indexes import KINDS, index_of
from tests.memory.crashes.writers import Writer, answered, becomes_consistent, writing
from tests.peers.component_program import ComponentProgram
from tests.peers.memory_program import memory_program
from uaitools.postgres.embedded.server import told_by

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])  # other processes do the work
WRITERS = 6
Kill = Callable[[ComponentProgram, Path], Awaitable[None]]


async def kill_program(program: ComponentProgram, _: Path) -> None:
    await program.kill()
    await program.start()


async def kill_postmaster(_: ComponentProgram, directory: Path) -> None:
    """The program is left to find out."""
    server = told_by(directory / "postgres/data")
    assert server is not None
    os.kill(server.pid(), signal.SIGKILL)


async def endure(directory: Path, kind: str, kill: Kill, kills: int) -> None:
    """Kill again and again, each time after some more answers; then look at everything."""
    async with (
        index_of(kind) as index,
        memory_program(directory, index) as program,
        aiohttp.ClientSession() as session,
    ):
        visitor = Visitor(program.url, session)
        writers = [Writer(f"user{number}", [visitor]) for number in range(WRITERS)]
        async with writing(writers):
            for _ in range(kills):
                await answered(writers, random.randint(20, 120))
                await kill(program, directory)
            await answered(writers, 20)
        await becomes_consistent(visitor)
        for one in writers:
            await one.check(visitor)
        assert sum(len(one.there) for one in writers) > WRITERS
        assert sum(len(one.gone) for one in writers) > WRITERS


@pytest.mark.parametrize("kind", ["local", "weaviate"])  # and all of them below
async def test_memories_outlive_kills_of_the_program(tmp_path: Path, kind: str) -> None:
    await endure(tmp_path / "data", kind, kill_program, 1)


async def test_the_service_comes_back_after_kills_of_its_database(tmp_path: Path) -> None:
    await endure(tmp_path / "data", "local", kill_postmaster, 2)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kill", [kill_program, kill_postmaster])
@pytest.mark.parametrize("kind", KINDS)
async def test_many_kills(tmp_path: Path, kind: str, kill: Kill) -> None:
    await endure(tmp_path / "data", kind, kill, 20)
