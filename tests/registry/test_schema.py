"""schemathesis against the program: what the document promises is what happens."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.peers.registry_program import registry_program

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")


@pytest.mark.timeout(180)
async def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    environ = {"UAITOOLS_REGISTRY__LONGEST_WAIT": "0.01"}  # long polls would take all its time
    async with registry_program(tmp_path, environ) as registry:
        process = await asyncio.create_subprocess_exec(
            SCHEMATHESIS,
            *("run", f"{registry.url}/openapi.json", "--max-examples", "20"),
            # Streams never end. Of a service whose last instance has gone there still is a list.
            *("--exclude-path", "/v1/watch", "--exclude-checks", "use_after_free"),
            *("--seed", "1", "--no-color") if "CI" in os.environ else ("--no-color",),
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        assert process.returncode == 0, said.decode()
