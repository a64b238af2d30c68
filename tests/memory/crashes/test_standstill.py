"""A PostgreSQL that stands still: it is told, nobody waits for ever, and it goes on by itself."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.memory.api.served import Answer, Visitor
from tests.peers.gateways import settled
from tests.peers.memory_program import memory_program
from uaitools.postgres.embedded.server import told_by

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])  # other processes do the work


@contextlib.contextmanager
def standing_still(directory: Path) -> Iterator[None]:
    """The postmaster and its sessions, which take part in nothing while the block lasts."""
    server = told_by(directory / "postgres/data")
    assert server is not None
    first = server.pid()
    children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
    stopped: list[int] = []
    try:
        for pid in (first, *map(int, children)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
                stopped.append(pid)
        yield
    finally:
        for pid in stopped:
            with contextlib.suppress(ProcessLookupError):  # one had ended just before
                os.kill(pid, signal.SIGCONT)


async def test_a_database_that_stands_still_is_told_and_waited_for_no_longer_than_said(
    tmp_path: Path,
) -> None:
    directory = tmp_path / "data"

    async def health() -> Answer:
        return await visitor.ask("GET", "/health")

    async def unable() -> bool:
        return (await health()).status == 503

    async def well() -> bool:
        return bool((await health()).body["status"] == "healthy")

    async with (
        memory_program(
            directory, UAITOOLS_MEMORY__POOL__LIMIT="0.5", UAITOOLS_MEMORY__POOL__WAIT="0.5"
        ) as program,
        aiohttp.ClientSession() as session,
    ):
        visitor = Visitor(program.url, session)
        await settled(well)
        await visitor.remember("I like tea")
        with standing_still(directory):
            await settled(unable)
            told = (await health()).body
            assert (told["status"], told["dependencies"]["database"]) == ("degraded", "unhealthy")
            answers = [await visitor.ask("GET", "/memories?user_id=ann") for _ in range(4)]
            assert {one.status for one in answers} <= {503, 504}
            batch = {"memories": [{"user_id": "ann", "content": f"{n}"} for n in range(1000)]}
            assert (await visitor.ask("POST", "/memories/batch", batch)).status in {503, 504}
        await settled(well)
        [one] = (await visitor.ask("GET", "/memories?user_id=ann")).body["memories"]
        assert one["content"] == "I like tea"
