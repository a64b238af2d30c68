"""Registry, proxy and instances as processes: a rolling deploy under load loses no request."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.peers.gateways import eventually, settled
from tests.peers.wire import connect
from tests.proxy.program import Program
from uaitools.tasks import spawn

POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"  # nobody sends it twice
INSTANCES = 5
CLIENTS = 16


@contextlib.asynccontextmanager
async def running(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *arguments, cwd=Path(__file__).parents[2]
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


class Load:
    """Clients that ask all the time, each on a connection of its own that stays open."""

    def __init__(self, port: int) -> None:
        self.statuses: Counter[int] = Counter()
        self.names: Counter[bytes] = Counter()
        self.port = port
        self._stop = asyncio.Event()
        self._asking = [spawn(self._ask(), name="ask") for _ in range(CLIENTS)]

    async def _ask(self) -> None:
        wire = await connect(self.port)
        while not self._stop.is_set():
            wire.send(POST)
            answered = await wire.message()
            self.statuses[answered.status] += 1
            self.names[answered.body] += 1
            await asyncio.sleep(0.005)  # the deploy needs some of the machine, too
        wire.close()

    async def hear(self, name: str) -> None:
        """Wait until an instance answers."""
        await eventually(lambda: self.names[name.encode()] > 20, patience=20.0)

    async def end(self) -> None:
        self._stop.set()
        await asyncio.gather(*self._asking)


class Stage:
    """A registry and a proxy of two workers, and whoever registers. registry: its process."""

    def __init__(self, folder: Path, stack: contextlib.AsyncExitStack) -> None:
        self._stack = stack
        self._folder = folder
        self.registry = self._begin_registry()
        self.url = ""

    def _begin_registry(self, *arguments: str) -> Program:
        data = ("--data-dir", str(self._folder / "registry"))
        program = Program(*data, *arguments, command=("-m", "uaitools.registry"))
        return self._stack.enter_context(program)

    async def open(self, instances: int) -> list[asyncio.subprocess.Process]:
        """Start all of it, with so many instances."""
        host, port = await asyncio.to_thread(lambda: self.registry.address)
        self.url = f"http://{host}:{port}"
        file = self._folder / "uaitools.toml"
        file.write_text(
            "[proxy.services.api]\nregistry = true\nretry = { tries = 1 }\n"
            "limits = { connections = 4 }\n"
            '[[proxy.routes]]\npath = "/"\nservice = "api"\n'
            f'[registry.client]\nurl = "{self.url}"\n'
        )
        found = [await self.deploy(f"old-{number}") for number in range(instances)]
        self.proxy = self._stack.enter_context(Program("--config", str(file), "--workers", "2"))
        _, port = await asyncio.to_thread(lambda: self.proxy.address)

        async def served() -> bool:
            return (await asyncio.to_thread(self.proxy.get, "/"))[0] == 200

        await settled(served)
        self.load = Load(port)
        self._stack.push_async_callback(self.load.end)
        for number in range(instances):
            await self.load.hear(f"old-{number}")
        return found

    async def deploy(self, name: str) -> asyncio.subprocess.Process:
        arguments = ("tests.peers.instance", self.url, "api", name)
        return await self._stack.enter_async_context(running(*arguments))

    async def end_gently(self, one: asyncio.subprocess.Process) -> None:
        """Have an instance drain and end: within its own deadline of 30 s.

        It takes all of that soon after a restart of the registry, which then waits for everybody
        who may have watched before.
        """
        one.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(one.wait(), 45) == 0

    async def kill_registry(self) -> None:
        self.registry.send(signal.SIGKILL)
        await asyncio.to_thread(self.registry.ends)

    async def connected(self, workers: int) -> None:
        """Wait until so many workers have a registry."""

        async def look() -> bool:
            return await asyncio.to_thread(self.proxy.metric, "proxy_dependency_up") == workers

        await settled(look, patience=30.0)

    def revive_registry(self) -> None:
        """Start it where it was, with what it had on disk."""
        self.registry = self._begin_registry("--listen", self.url.removeprefix("http://"))


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with contextlib.AsyncExitStack() as stack:
        yield Stage(tmp_path, stack)


@pytest.mark.timeout(120)
async def test_a_rolling_deploy_under_load_loses_no_request(stage: Stage) -> None:
    old = await stage.open(INSTANCES)
    load = stage.load
    for number, one in enumerate(old):
        await stage.deploy(f"new-{number}")
        await load.hear(f"new-{number}")
        await stage.end_gently(one)
        assert set(load.statuses) == {200}, f"while old-{number} left"
    await load.end()
    assert set(load.statuses) == {200}
    assert load.statuses.total() > 1000
    assert await asyncio.to_thread(stage.proxy.metric, "proxy_retries_total") == 0


@pytest.mark.timeout(120)
async def test_a_registry_that_is_killed_under_load_loses_no_request_and_drains_afterwards(
    stage: Stage,
) -> None:
    first, _ = await stage.open(2)
    load = stage.load
    await stage.kill_registry()
    await stage.connected(0)
    before = load.statuses.total()
    await eventually(lambda: load.statuses.total() > before + 200)
    stage.revive_registry()
    await stage.connected(2)
    await stage.deploy("new")
    await load.hear("new")
    await stage.end_gently(first)
    await load.end()
    assert set(load.statuses) == {200}


@pytest.mark.timeout(120)
async def test_who_is_paused_delays_requests_and_who_is_killed_loses_what_it_had_and_no_more(
    stage: Stage,
) -> None:
    paused, killed, _ = await stage.open(3)
    load = stage.load
    stage.proxy.freeze()
    await asyncio.sleep(2)
    stage.proxy.thaw()
    before = load.statuses.total()
    await eventually(lambda: load.statuses.total() > before + 100)
    paused.send_signal(signal.SIGSTOP)
    await asyncio.sleep(2)
    paused.send_signal(signal.SIGCONT)
    await eventually(lambda: load.names[b"old-0"] > 200, patience=20.0)
    assert set(load.statuses) == {200}

    killed.kill()
    await killed.wait()
    await stage.deploy("old-1")  # on another port, and heard of at once
    before = load.names[b"old-1"]
    await eventually(lambda: load.names[b"old-1"] > before + 20, patience=20.0)
    lost = load.statuses.total() - load.statuses[200]
    assert lost < 2 * CLIENTS  # what was under way, and until its circuit opened
    before = load.statuses.total()
    await eventually(lambda: load.statuses.total() > before + 500)
    assert load.statuses.total() - load.statuses[200] == lost
