"""The program as a process: its command line, its data over kill -9, and its migrations."""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path

import aiohttp
import pytest

from tests.memory.api.served import Visitor
from tests.peers.component_program import run_component
from tests.peers.memory_program import SMALL, memory_program

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])  # another process does the work


run = partial(run_component, "memory")


async def test_check_validates_and_exits() -> None:
    assert await run("--check") == (0, "ok: no file (--config names one)\n", "")


@pytest.mark.parametrize(
    ("arguments", "environ", "expected"),
    [
        (("--listen", "0.0.0.0:0"), {}, "others can reach 0.0.0.0:0"),
        ((), {"UAITOOLS_MEMORY__POOL__SIZE": "0"}, "memory.pool.size: "),
        ((), {"DATABASE_URL": "mysql://u:p@a/b"}, "DATABASE_URL: database_url: is postgresql://"),
        (
            (),
            {"UAITOOLS_MEMORY__CONTEXT__TOKENISER": "/nowhere/tokenizer.json"},
            "memory.context.tokeniser: there is no file /nowhere/tokenizer.json that can be read",
        ),
        ((), {"UAITOOLS_MEMORY__CACHE__SIZE": "-1"}, "memory.cache.size: "),
        ((), {"UAITOOLS_MEMORY__EMBED__USE": "magic"}, "memory.embed.use: "),
        ((), {"UAITOOLS_MEMORY__EMBED__USE": "http"}, "needs a table memory.embed.http"),
        ((), {"UAITOOLS_MEMORY__FORGET": '[{"type": ["event"]}]'}, "needs older_than_days"),
        ((), {"UAITOOLS_MEMORY__INDEX__KIND": "weaviate"}, "needs weaviate_url"),
    ],
)
async def test_a_wrong_configuration_stops_the_start(
    arguments: tuple[str, ...], environ: dict[str, str], expected: str
) -> None:
    status, said, complaint = await run(*arguments, "--check", **environ)
    assert (status, said) == (2, "")
    assert expected in complaint
    assert "Traceback" not in complaint


async def test_a_database_that_is_away_stops_the_start_with_a_reason(tmp_path: Path) -> None:
    url = f"postgresql://nobody@/x?host={tmp_path}"
    status, _, complaint = await run(DATABASE_URL=url, **SMALL)
    assert status == 1
    assert "the database cannot be reached" in complaint
    assert "Traceback" not in complaint


async def test_memories_outlive_the_death_of_the_program(tmp_path: Path) -> None:
    async with (
        memory_program(tmp_path / "data") as program,
        aiohttp.ClientSession() as session,
    ):
        memory = Visitor(program.url, session)
        made = [await memory.remember(f"fact number {number}") for number in range(20)]
        await program.kill()
        await program.start()
        assert len((await memory.ask("GET", "/memories?user_id=ann")).body["memories"]) == 20
        again = await memory.ask(
            "POST", "/memories", {"user_id": "ann", "content": "fact number 7"}
        )
        assert (again.status, again.body["id"]) == (200, made[7]["id"])
        program.signal(signal.SIGTERM)
        assert await program.ended() == 0
        assert not (tmp_path / "data/postgres/data/postmaster.pid").exists()


async def test_migrate_makes_the_tables_once(tmp_path: Path) -> None:
    arguments = ("--data-dir", str(tmp_path / "data"), "migrate")
    status, said, complaint = await run(*arguments)
    assert (status, "applied memories" in said) == (0, True), complaint
    status, said, _ = await run(*arguments)
    assert (status, said) == (0, "the tables are up to date\n")
