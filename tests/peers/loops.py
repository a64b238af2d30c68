"""Both event loops the gateway runs on, and the check that a test left nothing behind."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Callable, Container, Mapping
from pathlib import Path

import pytest
import uvloop

LOOPS: Mapping[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "uvloop": uvloop.new_event_loop,
    "asyncio": asyncio.new_event_loop,
}


def sockets() -> set[str]:
    """This process's sockets that are connected to something, or listen: their inodes.

    Loops have a nameless pair of unix sockets of their own to wake themselves up; not those.
    """
    ours = set()
    for link in Path("/proc/self/fd").iterdir():
        try:
            target = str(link.readlink())
        except OSError:
            continue  # the listing's own descriptor
        if target.startswith("socket:["):
            ours.add(target.removeprefix("socket:[").removesuffix("]"))
    known = set()
    for table, column in (("tcp", 9), ("tcp6", 9), ("unix", 6)):
        for line in Path(f"/proc/self/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if table != "unix" or len(fields) == 8:
                known.add(fields[column])
    return ours & known


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """For conftest.py: tests beside it run on both loops."""
    return LOOPS


def loops_of(
    item: pytest.Item, *, both: Container[str]
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """For conftest.py: the files named in `both` on both loops, others on that of our programs."""
    return LOOPS if item.path.name in both else {"uvloop": LOOPS["uvloop"]}


@pytest.fixture(autouse=True)
async def _leaves_nothing() -> AsyncIterator[None]:
    """For conftest.py: tests beside it leave nothing behind."""
    async for _ in leaves_nothing():
        yield


async def leaves_nothing() -> AsyncIterator[None]:
    """Before and after a test: no task and no socket more than there were."""
    await asyncio.sleep(0)
    ours = asyncio.all_tasks()
    before = sockets()
    yield
    deadline = time.monotonic() + 5
    while True:
        tasks = asyncio.all_tasks() - ours - {asyncio.current_task()}
        left = sockets() - before
        if not tasks and not left:
            return
        if time.monotonic() > deadline:
            break
        gc.collect()
        await asyncio.sleep(0.01)
    assert not tasks
    assert not left
