"""`python -m uaitools.memory` as a process, with an embedded PostgreSQL that ends with it."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import MappingProxyType

from tests.peers.component_program import ComponentProgram

SMALL = {"UAITOOLS_MEMORY__EMBED__USE": "hash"}


@contextlib.asynccontextmanager
async def memory_program(
    directory: Path, index: Mapping[str, str] = MappingProxyType({}), **environ: str
) -> AsyncIterator[ComponentProgram]:
    """A service that keeps its data in a directory. index: its table in the settings."""
    chosen = {f"UAITOOLS_MEMORY__INDEX__{name.upper()}": value for name, value in index.items()}
    settings = {**SMALL, **chosen, **environ}
    program = ComponentProgram("memory", "--data-dir", str(directory), environ=settings)
    try:
        await program.start()
        yield program
    finally:
        if program.runs:  # one that is killed leaves its PostgreSQL to the next
            program.signal(signal.SIGTERM)
            await program.ended()
