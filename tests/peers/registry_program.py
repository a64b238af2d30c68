"""`python -m uaitools.registry` as a process that tests kill, pause and start again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from tests.peers.servers import free_port


class RegistryProgram:
    """One registry; what it knows is in `folder`, and is lost when `forget` is called.

    environ: settings, by the names of their variables.
    """

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self._environ = {**os.environ, **environ}
        self.port = free_port()
        self._folder = folder
        self._lives = 0
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def directory(self) -> Path:
        """Where it keeps what it knows."""
        return self._folder / f"life-{self._lives}"

    async def start(self) -> None:
        """Start it, and return when it listens."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "uaitools.registry", "--listen", f"127.0.0.1:{self.port}"),
            *("--data-dir", str(self.directory)),
            cwd=Path(__file__).parents[2],
            env=self._environ,
            stderr=asyncio.subprocess.PIPE,
        )
        assert self._process.stderr is not None
        said = b""
        async for line in self._process.stderr:
            said += line
            if b'"listening"' in line:
                return
        raise AssertionError(said.decode())

    def forget(self) -> None:
        """Have its next start know nothing."""
        self._lives += 1

    async def kill(self) -> None:
        """End it at once, as a crash would."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """End it as an operator would."""
        await self._end(signal.SIGTERM)

    async def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            await process.communicate()  # what it still prints would keep it from ending

    def freeze(self) -> None:
        """Connections stay, and nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


@contextlib.asynccontextmanager
async def registry_program(
    folder: Path, environ: Mapping[str, str] | None = None
) -> AsyncIterator[RegistryProgram]:
    program = RegistryProgram(folder, environ or {})
    await program.start()
    try:
        yield program
    finally:
        await program.kill()
