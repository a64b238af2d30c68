"""The Autobahn testsuite against /echo: what it does not call right is a failure."""

from __future__ import annotations

import asyncio
import json
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from tests.peers.component_program import ROOT
from tests.peers.hub_program import hub_program

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])  # other processes do the work

PROGRAM: Final = ROOT / "scripts" / "autobahn"
LONG: Final = ("6.*", "9.*", "12.*", "13.*")  # UTF-8, limits, compression: 415 of 517 cases
RIGHT: Final = {"OK", "INFORMATIONAL"}


async def _run(*arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        PROGRAM, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, said.decode()


async def _python_2_7() -> None:
    status, said = await _run("--python")
    if status:
        warnings.warn(said, stacklevel=1)
        pytest.skip(f"{said.strip()}; tests/hub/test_frames.py has wsproto as its oracle")


async def outcomes(folder: Path, without: Sequence[str]) -> dict[str, tuple[str, str]]:
    """What became of each case: of what was said, and of how it was closed."""
    async with hub_program("--echo") as hub:
        spec = {
            "servers": [{"agent": "hub", "url": f"ws://127.0.0.1:{hub.port}/echo"}],
            "outdir": str(folder / "report"),
            "cases": ["*"],
            "exclude-cases": list(without),
            "exclude-agent-cases": {},
        }
        (folder / "spec.json").write_text(json.dumps(spec))
        status, said = await _run("-m", "fuzzingclient", "-s", str(folder / "spec.json"))
        assert status == 0, said[-2000:]
        assert b"Traceback" not in hub.said, hub.said.decode()
    found = json.loads((folder / "report" / "index.json").read_text())["hub"]
    return {case: (one["behavior"], one["behaviorClose"]) for case, one in found.items()}


def check(found: dict[str, tuple[str, str]], least: int) -> None:
    """At least so many cases, all of them right."""
    assert {case: how for case, how in found.items() if not RIGHT.issuperset(how)} == {}
    assert len(found) >= least, Counter(case.split(".")[0] for case in found)


async def test_frames_messages_and_closing(tmp_path: Path) -> None:
    await _python_2_7()
    check(await outcomes(tmp_path, LONG), 102)


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_all_cases(tmp_path: Path) -> None:
    await _python_2_7()
    check(await outcomes(tmp_path, ()), 517)
