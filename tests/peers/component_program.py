"""A component's program as a process that tests kill, pause and start again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from tests.peers.servers import free_port
from uaitools.tasks import spawn

ROOT = Path(__file__).parents[2]


class ComponentProgram:
    """`python -m uaitools.NAME`, of the component with that name.

    arguments: of its command line, beside --listen. environ: settings, by the names of their
    variables.
    """

    def __init__(
        self, name: str, *arguments: str, environ: Mapping[str, str] | None = None
    ) -> None:
        self._name = name
        self._arguments = arguments
        self._environ = {**os.environ, **(environ or {})}
        self.port = free_port()
        self.said = b""  # its log, up to where it has been read
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def runs(self) -> bool:
        return self._process is not None

    async def start(self) -> None:
        """Start it, and return when it listens."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *(
                "-m",
                f"uaitools.{self._name}",
                "--listen",
                f"127.0.0.1:{self.port}",
                *self._arguments,
            ),
            cwd=ROOT,
            env=self._environ,
            stderr=asyncio.subprocess.PIPE,
        )
        reader = self._process.stderr
        assert reader is not None
        async for line in reader:
            self.said += line
            if b'"listening"' in line:
                self._reading = spawn(self._read(reader), name="read a log")
                return
        raise AssertionError(self.said.decode())

    async def _read(self, reader: asyncio.StreamReader) -> None:
        async for line in reader:  # a full pipe would hold it up
            self.said += line

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    async def ended(self) -> int:
        """Its exit status, when it ends."""
        process, reading = self._process, self._reading
        assert process is not None
        assert reading is not None
        status = await process.wait()
        await reading
        self._process = self._reading = None
        return status

    async def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self.ended()


@contextlib.asynccontextmanager
async def component_program(
    name: str, *arguments: str, environ: Mapping[str, str] | None = None
) -> AsyncIterator[ComponentProgram]:
    """A program that runs. environ: settings, by the names of their variables."""
    program = ComponentProgram(name, *arguments, environ=environ)
    try:
        await program.start()
        yield program
    finally:
        await program.kill()


async def run_component(name: str, *arguments: str, **environ: str) -> tuple[int, str, str]:
    """Exit status, standard output and error of `python -m uaitools.NAME`, when it ends."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", f"uaitools.{name}", *arguments),
        cwd=ROOT,
        env={**os.environ, **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, complained = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode(), complained.decode()
