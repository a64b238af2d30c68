"""schemathesis against the program: what the document promises is what happens."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.peers.registry_program import registry_program
from tests.peers.schemathesis import assert_nothing_found


@pytest.mark.timeout(180)
async def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    environ = {"UAITOOLS_REGISTRY__LONGEST_WAIT": "0.01"}  # long polls would take all its time
    async with registry_program(tmp_path, environ) as registry:
        # Streams never end. Of a service whose last instance has gone there still is a list.
        arguments = ("--exclude-path", "/v1/watch", "--exclude-checks", "use_after_free")
        await assert_nothing_found(registry.url, tmp_path, *arguments)
