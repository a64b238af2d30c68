"""schemathesis as a program: it asks for everything that an OpenAPI document promises."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Final

PROGRAM: Final = Path(sys.executable).with_name("schemathesis")


async def assert_nothing_found(
    url: str, cwd: Path, *arguments: str, examples: int = 20, hooks: Path | None = None
) -> None:
    """Run it on the service at a URL.

    cwd: where its configuration may be. examples: of each operation. hooks: the folder of a
    schemathesis_hooks.py.
    """
    environ = dict(os.environ)
    if hooks is not None:
        environ |= {"SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(hooks)}
    process = await asyncio.create_subprocess_exec(
        PROGRAM,
        *("run", f"{url}/openapi.json", "--max-examples", str(examples), *arguments),
        *("--seed", "1", "--no-color") if "CI" in os.environ else ("--no-color",),
        cwd=cwd,
        env=environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
