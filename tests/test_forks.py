"""Processes that do the same work, as a program whose workers are killed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.peers.gateways import eventually

ROOT = Path(__file__).parents[1]
PROGRAM = """
import os, signal, sys, time
from uaitools.forks import Forks
from uaitools.restarts import Restarts

def work(index):
    os.write(1, b"%d %d\\n" % (index, os.getpid()))
    if {fails}:
        return 3
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    while True:
        time.sleep(60)

sys.exit(Forks(2, work, Restarts(first=0.01, longest=0.02, deaths=3)).run())
"""


@asynccontextmanager
async def program(*, fails: bool = False) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM.format(fails=fails)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def alive(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


async def begun(process: asyncio.subprocess.Process) -> tuple[int, int]:
    """Index and process id of the next worker that begins."""
    assert process.stdout is not None
    index, pid = (await asyncio.wait_for(process.stdout.readline(), 20)).split()
    return int(index), int(pid)


async def test_a_worker_that_is_killed_is_replaced_by_one_of_its_index() -> None:
    async with program() as process:
        workers = dict([await begun(process), await begun(process)])
        assert workers.keys() == {0, 1}
        os.kill(workers[1], signal.SIGKILL)
        index, pid = await begun(process)
        assert index == 1
        assert pid not in workers.values()


async def test_a_signal_ends_all() -> None:
    async with program() as process:
        workers = [await begun(process), await begun(process)]
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 20) == 0
        assert not any(alive(pid) for _, pid in workers)


async def test_workers_end_with_their_parent() -> None:
    async with program() as process:
        workers = [await begun(process), await begun(process)]
        process.kill()
        await eventually(lambda: not any(alive(pid) for _, pid in workers))


async def test_workers_that_die_at_once_again_and_again_are_given_up() -> None:
    async with program(fails=True) as process:
        said, complained = await asyncio.wait_for(process.communicate(), 20)
        assert process.returncode == 1
        assert len(said.splitlines()) == 6
        assert complained.count(b"a worker has died") == 6
