"""`python -m uaitools.insight` as it is served, and what its OpenAPI promises."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
from openapi_spec_validator import validate
from yarl import URL

from tests.insight.stores import Line, write
from tests.peers.component_program import ComponentProgram, run_component
from tests.peers.schemathesis import assert_nothing_found

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])  # another process does the work
HERE: Final = Path(__file__).parent


@asynccontextmanager
async def insight_program(directory: Path) -> AsyncIterator[ComponentProgram]:
    program = ComponentProgram("insight", "--data-dir", str(directory))
    try:
        await program.start()
        yield program
    finally:
        if program.runs:
            program.signal(signal.SIGTERM)
            assert await program.ended() == 0


@pytest.mark.timeout(180)
async def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    async with insight_program(tmp_path / "data") as insight:
        await assert_nothing_found(insight.url, tmp_path, hooks=HERE)


async def test_what_another_process_imports_is_served(tmp_path: Path) -> None:
    data = tmp_path / "data"
    path = "/api/v1/fast/repositories/pallets%2Fflask/summary"
    file = write(tmp_path, date(2024, 2, 11), [Line("pallets/flask", 60)])
    async with insight_program(data) as insight, aiohttp.ClientSession() as session:

        async def get(path: str) -> tuple[int, Any]:
            async with session.get(URL(insight.url + path, encoded=True)) as answer:
                return answer.status, await answer.json()

        validate((await get("/openapi.json"))[1])
        assert (await get(path))[0] == 404
        status, said, complained = await run_component(
            "insight", "--data-dir", str(data), "import", "csv", str(file)
        )
        assert (status, said[:12]) == (0, "generation 1"), complained
        status, told = await get(path)
        assert (status, told["stars"]) == (200, 60)
