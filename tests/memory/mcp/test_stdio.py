"""The program that an assistant starts: its pipes, its end, and what it leaves behind."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from tests.memory.api.served import Visitor
from tests.memory.mcp.assistants import ERAS, HELLO, Era, call, message, parameters, text_of
from tests.peers.component_program import ROOT
from tests.peers.memory_program import SMALL, memory_program
from tests.peers.redis import RedisServer

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])  # another process does the work
PARSE_ERROR: Final = -32_700
INVALID_REQUEST: Final = -32_600
NO_SUCH_METHOD: Final = -32_601


class Program:
    """`python -m uaitools.memory mcp`, whose pipes a test holds."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process = process
        self.stdin, self.stdout = process.stdin, process.stdout

    def write(self, *messages: object) -> None:
        """Each on a line of its own, as JSON unless it is bytes."""
        for one in messages:
            line = one if isinstance(one, bytes) else orjson.dumps(one)
            self.stdin.write(line + b"\n")

    async def read(self) -> Any:
        """The next message."""
        return orjson.loads(await self.stdout.readline())

    async def ended(self) -> tuple[int, list[Any]]:
        """Its exit status, and what it has said until then."""
        left = await self.stdout.read()
        return await self.process.wait(), [orjson.loads(line) for line in left.splitlines()]


@asynccontextmanager
async def program(directory: Path, *arguments: str) -> AsyncIterator[Program]:
    """A program that runs; one that still does in the end is told to end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "uaitools.memory", "--data-dir", str(directory), "mcp", *arguments),
        cwd=ROOT,
        env={**os.environ, **SMALL},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 24,
    )
    one = Program(process)
    try:
        yield one
    finally:
        one.stdin.close()
        await one.ended()


def runs(directory: Path) -> bool:
    """Whether a PostgreSQL runs on a data directory."""
    return (directory / "postgres/data/postmaster.pid").exists()


@pytest.mark.parametrize("era", ERAS)
async def test_memories_outlive_the_conversation(tmp_path: Path, era: Era) -> None:
    async with Client(parameters(tmp_path), mode=era) as client:
        made = await client.call_tool("add_memory", {"content": "I live in Munich"})
        assert made.structured_content["created"] is True
        assert runs(tmp_path)
    assert not runs(tmp_path)
    async with Client(parameters(tmp_path), mode=era) as client:
        found = await client.call_tool("search_memories", {"query": "munich"})
        assert "I live in Munich" in text_of(found)
        failed = await client.call_tool("forget", {"id": "1"})
        assert failed.is_error
    assert not runs(tmp_path)


async def test_the_settings_of_the_docs_start_it(tmp_path: Path) -> None:
    text = (ROOT / "docs/memory.md").read_text()
    [settings] = [one for one in re.findall(r"```json\n(.*?)\n```", text) if '"command"' in one]
    server = orjson.loads(settings)["mcpServers"]["memory"]
    config = tmp_path / "uaitools.toml"
    config.write_text(f'data_dir = "{tmp_path}"\n[memory]\n')
    arguments = [str(config) if one.endswith(".toml") else one for one in server["args"]]
    start = StdioServerParameters(command=sys.executable, args=arguments, env=SMALL, cwd=ROOT)
    async with Client(start, mode="legacy") as client:
        made = await client.call_tool("add_memory", {"content": "I like tea"})
        assert made.structured_content["created"] is True
        assert runs(tmp_path)
    assert not runs(tmp_path)


async def test_what_was_asked_before_the_end_of_input_is_answered(tmp_path: Path) -> None:
    async with program(tmp_path) as one:
        one.write(HELLO, {"jsonrpc": "2.0", "method": "notifications/initialized"})
        for number in range(50):
            one.write({**call("add_memory", content=f"fact {number}"), "id": f"n{number}"})
        one.stdin.write_eof()
        status, messages = await one.ended()
        assert status == 0
        assert messages[0]["result"]["serverInfo"]["name"] == "uaitools-memory"
        results = {one["id"]: one["result"] for one in messages[1:]}
        assert set(results) == {f"n{number}" for number in range(50)}
        for number in range(50):
            made = results[f"n{number}"]["structuredContent"]
            assert (made["created"], made["memory"]["content"]) == (True, f"fact {number}")
    assert not runs(tmp_path)


async def test_what_is_no_message_or_asks_for_what_is_not_is_refused_and_the_next_is_read(
    tmp_path: Path,
) -> None:
    async with program(tmp_path) as one:
        one.write(b"{", b"", b"\xff\xfe", b"[]", {"jsonrpc": "1.0"}, b"[" * 10_000)
        one.write(b'"' + b"x" * (9 << 20) + b'"')
        one.write(HELLO)
        codes = []
        while (answer := await one.read())["id"] is None:
            codes.append(answer["error"]["code"])
        assert codes[:5] == [PARSE_ERROR, PARSE_ERROR, *[INVALID_REQUEST] * 2, PARSE_ERROR]
        assert INVALID_REQUEST in codes[5:]
        assert answer["result"]["protocolVersion"] == "2025-06-18"
        one.write({"jsonrpc": "2.0", "method": "notifications/initialized"})
        one.write(message("prompts/list"))
        assert (await one.read())["error"]["code"] == NO_SUCH_METHOD
        one.write(message("tools/list"))
        assert (await one.read())["result"]["tools"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_while_its_input_is_open(
    tmp_path: Path, number: signal.Signals
) -> None:
    async with program(tmp_path) as one:
        one.write(HELLO)
        await one.read()
        one.process.send_signal(number)
        assert await one.ended() == (0, [])
        assert not runs(tmp_path)


async def test_an_assistant_that_reads_no_more_ends_it(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "uaitools.memory", "--data-dir", str(tmp_path), "mcp"),
        cwd=ROOT,
        env={**os.environ, **SMALL},
        stdin=asyncio.subprocess.PIPE,
        stdout=writing,
    )
    os.close(writing)
    os.close(reading)
    assert process.stdin is not None
    process.stdin.write(orjson.dumps(HELLO) + b"\n")
    assert await process.wait() == 0
    assert not runs(tmp_path)


async def test_what_was_said_outlives_the_death_of_the_program(tmp_path: Path) -> None:
    async with program(tmp_path) as one:
        one.write(HELLO, {"jsonrpc": "2.0", "method": "notifications/initialized"})
        await one.read()
        one.write(call("add_memory", content="I like tea"))
        assert (await one.read())["result"]["isError"] is False
        one.process.kill()
        await one.ended()
        assert runs(tmp_path)  # it is left to the next
    async with Client(parameters(tmp_path), mode="legacy") as client:
        found = await client.call_tool("search_memories", {"query": "tea"})
        assert "I like tea" in text_of(found)
    assert not runs(tmp_path)


async def test_it_shares_the_memories_of_a_service_that_runs(tmp_path: Path) -> None:
    async with memory_program(tmp_path) as service, aiohttp.ClientSession() as session:
        visitor = Visitor(service.url, session)
        await visitor.remember("I like tea")
        await visitor.remember("I like beer", user="bob")
        async with Client(parameters(tmp_path, "--user", "ann"), mode="legacy") as client:
            for content in ("I like coffee", "I like milk"):
                found = await client.call_tool("search_memories", {"query": "like"})
                assert content not in text_of(found)
                await visitor.remember(content)
                asked = {"query": content, "mode": "vector"}
                while content not in text_of(await client.call_tool("search_memories", asked)):
                    pass
            found = await client.call_tool("search_memories", {"query": "like beer"})
            assert len(found.structured_content["memories"]) == 3
            await client.call_tool("add_memory", {"content": "I like water"})
        assert len(await visitor.search("like")) == 4
        assert len(await visitor.search("like", user="bob")) == 1
        assert runs(tmp_path)


async def test_what_it_forgets_is_in_no_copy_of_a_service(
    tmp_path: Path, redis: RedisServer
) -> None:
    async with (
        memory_program(tmp_path, REDIS_URL=redis.url) as service,
        aiohttp.ClientSession() as session,
    ):
        visitor = Visitor(service.url, session)
        made = await visitor.remember("I like tea")
        path = f"/memories/{made['id']}?user_id=ann"
        assert (await visitor.ask("GET", path)).status == 200
        asked = parameters(tmp_path, "--user", "ann", REDIS_URL=redis.url)
        async with Client(asked, mode="legacy") as client:
            await client.call_tool("forget", {"id": made["id"]})
        assert (await visitor.ask("GET", path)).status == 404


async def test_calls_at_the_same_time_get_their_own_answers(tmp_path: Path) -> None:
    async with Client(parameters(tmp_path), mode="2026-07-28") as client:
        facts = [f"fact {number}" for number in range(40)]
        made = await asyncio.gather(
            *(client.call_tool("add_memory", {"content": fact}) for fact in facts)
        )
        assert [one.structured_content["memory"]["content"] for one in made] == facts


# -- a start that cannot be --------------------------------------------------------------------


async def failed(*command: str, **environ: str) -> tuple[int, bytes, str]:
    """Exit status, standard output and error of a program without input."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        cwd=ROOT,
        env={**os.environ, **SMALL, **environ},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, complaint = await process.communicate()
    assert process.returncode is not None
    assert b"Traceback" not in complaint
    return process.returncode, output, complaint.decode()


async def test_without_pipes_it_says_who_starts_it(tmp_path: Path) -> None:
    command = ("-m", "uaitools.memory", "--data-dir", str(tmp_path), "mcp")
    status, output, complaint = await failed(*command)
    assert (status, output) == (1, b"")
    assert "mcp is started by an assistant" in complaint
    assert not runs(tmp_path)


async def test_without_the_library_it_says_what_to_install() -> None:
    without = "import sys; sys.modules['mcp'] = None; from uaitools.memory.__main__ import main"
    status, output, complaint = await failed("-c", f"{without}; sys.exit(main(['mcp']))")
    assert (status, output) == (1, b"")
    assert "uaitools[mcp]" in complaint


async def test_a_user_who_can_be_none_is_refused() -> None:
    status, output, complaint = await failed("-m", "uaitools.memory", "mcp", "--user", " ann")
    assert (status, output) == (2, b"")
    assert "--user: is 1 to 256 printable ASCII characters, without blanks at its ends" in complaint


async def test_a_database_that_is_away_stops_the_start_with_a_reason(tmp_path: Path) -> None:
    environ = {"DATABASE_URL": f"postgresql://nobody@/x?host={tmp_path}"}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "uaitools.memory", "mcp"),
        cwd=ROOT,
        env={**os.environ, **SMALL, **environ},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, complaint = await process.communicate()
    assert (process.returncode, output) == (1, b"")
    assert b"the database cannot be reached" in complaint
    assert b"Traceback" not in complaint
