"""Runs the `git` program: bounded in time, in memory and in what it says."""

from __future__ import annotations

import asyncio
import os
import resource
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from uaitools.insight.analysis.config import AnalysisConfig
from uaitools.insight.analysis.errors import GitMissing, Unreadable
from uaitools.insight.analysis.texts import readable
from uaitools.tasks import spawn

_CHUNK: Final = 1 << 16
_COMPLAINT: Final = 1 << 12  # bytes of what git says on standard error
_ALIKE: Final = {  # wherever it runs, whatever the machine is set to
    "GIT_ALLOW_PROTOCOL": "",  # nothing is fetched, whatever is missing
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
    "TZ": "UTC",
}

Take = Callable[[bytes], None]


class Git:
    """The program, over the git directory `directory`.

    Of the environment it gets where programs are, and nothing else: no variable of git that the
    caller's own surroundings may have set.
    """

    def __init__(self, directory: Path, config: AnalysisConfig) -> None:
        self._directory = directory
        self._config = config

    def __repr__(self) -> str:
        return f"<Git {self._directory.name} seconds={self._config.seconds:g}>"

    async def output(self, *arguments: str, sent: bytes = b"") -> bytes:
        """All that `git ARGUMENTS` says; for what is known to be short."""
        said = bytearray()
        await self.stream(*arguments, take=said.extend, sent=sent)
        return bytes(said)

    async def stream(self, *arguments: str, take: Take, sent: bytes = b"") -> None:
        """Run `git ARGUMENTS`, send it `sent` and give what it says to `take`, as it comes.

        Raises `Unreadable` if git fails or does not keep within the bounds, `GitMissing`, and
        what `take` raises; git is gone by then.
        """
        process = await self._start(arguments, sent)
        assert process.stdout is not None
        assert process.stderr is not None
        complaint = spawn(_beginning(process.stderr), name="git complains")
        try:
            async with asyncio.timeout(self._config.seconds):
                await self._pour(process.stdout, take)
                status = await process.wait()
        except TimeoutError:
            raise Unreadable(f"git took more than {self._config.seconds:g} s") from None
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            # Its pipes are read to their ends, so that nothing of it is left to be collected.
            while await process.stdout.read(_CHUNK):
                pass
            said = await complaint
            await process.wait()
        if status != 0:
            raise Unreadable(_explained(status, said), status)

    async def _start(self, arguments: tuple[str, ...], sent: bytes) -> Process:
        try:
            process = await asyncio.create_subprocess_exec(
                "git",
                *arguments,
                stdin=PIPE if sent else DEVNULL,
                stdout=PIPE,
                stderr=PIPE,
                cwd=self._directory,
                env=_environment(self._directory),
                limit=_CHUNK,
            )
        except OSError as error:
            raise GitMissing(error.strerror or str(error)) from error
        _confine(process.pid, self._config.memory)
        if process.stdin is not None:
            process.stdin.write(sent)
            process.stdin.close()
        return process

    async def _pour(self, source: asyncio.StreamReader, take: Take) -> None:
        left = self._config.output
        while chunk := await source.read(_CHUNK):
            left -= len(chunk)
            if left < 0:
                raise Unreadable(f"git says more than {self._config.output} bytes")
            take(chunk)


def _environment(directory: Path) -> Mapping[str, str]:
    own = {"GIT_DIR": str(directory), "HOME": str(directory), "XDG_CONFIG_HOME": str(directory)}
    return {"PATH": os.environ.get("PATH", os.defpath), **_ALIKE, **own}


def _confine(pid: int, memory: int) -> None:
    """Let a process allocate no more than `memory` bytes, where the system can be told so.

    One object may claim to be of any size, and git takes it whole. What it maps of packs is not
    counted.
    """
    if sys.platform == "linux":
        with suppress(ProcessLookupError, PermissionError):  # it has ended; it may have less anyway
            resource.prlimit(pid, resource.RLIMIT_DATA, (memory, memory))


async def _beginning(source: asyncio.StreamReader) -> bytes:
    """What it says first; the rest is read, so that who writes it is not held up."""
    said = b""
    while chunk := await source.read(_CHUNK):
        said += chunk[: _COMPLAINT - len(said)]
    return said


def _explained(status: int, said: bytes) -> str:
    lines = [line for line in said.splitlines() if line.strip()]
    fatal = next((line for line in lines if line.startswith(b"fatal: ")), *lines[-1:] or [b""])
    how = f"signal {-status}" if status < 0 else f"status {status}"
    return f"git ended with {how}: {readable(fatal) or 'it said nothing'}"
