"""A gateway as a process of its own, so that its memory can be measured.

Run as a module it serves the configuration given as JSON on the loop that is named.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.peers.gateways import steady
from tests.peers.loops import LOOPS
from uaitools.proxy.config import ProxyConfig
from uaitools.proxy.gateway import Gateway


@dataclass(frozen=True)
class Process:
    """A running gateway."""

    pid: int
    port: int

    def resident(self) -> int:
        """Bytes of memory of its own."""
        return self._status("RssAnon")

    def peak(self) -> int:
        """The most bytes it ever had, pages of files included."""
        return self._status("VmHWM")

    def _status(self, name: str) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
        raise LookupError(name)

    async def settled(self) -> int:
        """Resident memory once it no longer changes."""
        return await steady(self.resident, within=64 * 1024, every=0.3)


@contextlib.asynccontextmanager
async def gateway_process(
    url: str, loop: str, tls: Mapping[str, object] | None = None, **service: object
) -> AsyncIterator[Process]:
    """A gateway in front of `url` on the loop of that name. tls: its table, if any."""
    settings = {
        "listen": "127.0.0.1:0",
        "services": {"api": {"endpoints": [url], **service}},
        "routes": [{"path": "/", "service": "api"}],
        "tls": tls,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.peers.process",
        loop,
        json.dumps(settings),
        cwd=Path(__file__).parents[2],
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async for line in process.stdout:
            if line.startswith(b"port "):
                yield Process(process.pid, int(line.split()[1]))
                break
    finally:
        if process.returncode is None:
            process.terminate()
        # What it still prints has to be read, or its pipe keeps it from ending.
        await process.communicate()


async def _serve(settings: str) -> None:
    async with Gateway(ProxyConfig.model_validate_json(settings)) as gateway:
        print("port", gateway.address.port, flush=True)  # noqa: T201 - read by the test
        await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=LOOPS[sys.argv[1]]) as runner:
        runner.run(_serve(sys.argv[2]))
