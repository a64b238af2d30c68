"""What the service's OpenAPI promises, and whether it is kept: schemathesis asks for everything."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import aiohttp
import pytest
from openapi_spec_validator import validate

from tests.peers.memory_program import memory_program
from tests.peers.schemathesis import assert_nothing_found

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])  # another process does the work
HERE: Final = Path(__file__).parent


@pytest.mark.timeout(180)
async def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    async with memory_program(tmp_path / "data") as memory:
        arguments = ("--exclude-path", "/memories/import")  # it can make no NDJSON
        await assert_nothing_found(memory.url, tmp_path, *arguments, examples=10, hooks=HERE)


async def test_the_document_is_openapi(tmp_path: Path) -> None:
    async with (
        memory_program(tmp_path / "data") as memory,
        aiohttp.ClientSession() as session,
        session.get(f"{memory.url}/openapi.json") as response,
    ):
        document = await response.json()
    validate(document)
    assert document["paths"]["/memories"]["post"]["responses"]["200"]
