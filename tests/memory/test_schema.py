"""What the service's OpenAPI promises, and whether it is kept: schemathesis asks for everything."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Final

import aiohttp
import pytest
from openapi_spec_validator import validate

from tests.peers.memory_program import memory_program

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])  # another process does the work
SCHEMATHESIS: Final = Path(sys.executable).with_name("schemathesis")
HERE: Final = str(Path(__file__).parent)


@pytest.mark.timeout(180)
async def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    async with memory_program(tmp_path / "data") as memory:
        process = await asyncio.create_subprocess_exec(
            SCHEMATHESIS,
            *("run", f"{memory.url}/openapi.json", "--max-examples", "10"),
            *("--exclude-path", "/memories/import"),  # it can make no NDJSON
            *("--seed", "1", "--no-color") if "CI" in os.environ else ("--no-color",),
            cwd=tmp_path,
            env={**os.environ, "SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": HERE},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        assert process.returncode == 0, said.decode()


async def test_the_document_is_openapi(tmp_path: Path) -> None:
    async with (
        memory_program(tmp_path / "data") as memory,
        aiohttp.ClientSession() as session,
        session.get(f"{memory.url}/openapi.json") as response,
    ):
        document = await response.json()
    validate(document)
    assert document["paths"]["/memories"]["post"]["responses"]["200"]
