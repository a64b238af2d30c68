"""Two registries that share a Redis which stops, or that one of them alone does not reach."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.peers.gateways import settled
from tests.peers.redis import redis_server
from tests.peers.registry_program import RegistryProgram, registry_program
from uaitools.registry.client import register
from uaitools.tasks import spawn

NAMES = [f"i{number}" for number in range(6)]
EVERYBODY = dict.fromkeys(NAMES, "passing")
TTL = 10
pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


class Mesh:
    """Two registries, and what they have said of everybody in all the time."""

    def __init__(
        self, registries: Sequence[RegistryProgram], client: aiohttp.ClientSession
    ) -> None:
        self.registries = registries
        self.client = client
        self.seen: list[dict[str, str]] = []

    async def listed(self, registry: RegistryProgram) -> dict[str, Any]:
        async with self.client.get(f"{registry.url}/v1/services/api") as answer:
            assert answer.status == 200
            found: dict[str, Any] = await answer.json()
            return found

    async def states(self, registry: RegistryProgram) -> dict[str, str]:
        return {one["id"]: one["health"] for one in (await self.listed(registry))["instances"]}

    async def agree(self, expected: dict[str, str]) -> None:
        """Wait until both say the same, under the same index."""

        async def same() -> bool:
            lists = [await self.listed(one) for one in self.registries]
            states = [{o["id"]: o["health"] for o in found["instances"]} for found in lists]
            facts = {(found["index"], found["epoch"]) for found in lists}
            return states == [expected, expected] and len(facts) == 1

        await settled(same, patience=40)

    async def look(self) -> None:
        while True:
            self.seen += [await self.states(registry) for registry in self.registries]
            await asyncio.sleep(0.2)

    async def changes(self) -> None:
        """Wait until the first takes changes again."""

        async def weighed() -> bool:
            return await self.weigh(7) == 200

        await settled(weighed)

    async def weigh(self, weight: int) -> int:
        url = f"{self.registries[0].url}/v1/services/i0"
        async with self.client.patch(url, json={"weight": weight}) as answer:
            assert (answer.status == 503) == ("Retry-After" in answer.headers)
            return answer.status


@contextlib.asynccontextmanager
async def instances(registries: Sequence[RegistryProgram], *names: str) -> AsyncIterator[None]:
    urls = [registry.url for registry in registries]
    async with contextlib.AsyncExitStack() as stack:
        for name in names:
            registration = register(
                name="api", id=name, address="127.0.0.1", port=9001, urls=urls, ttl=TTL, drain=1
            )
            await stack.enter_async_context(registration)
            await registration.registered()
        yield


@contextlib.asynccontextmanager
async def mesh(folder: Path, *redis_urls: str) -> AsyncIterator[Mesh]:
    """A registry for each URL, and six instances that turn to one or the other first."""
    async with contextlib.AsyncExitStack() as stack:
        registries = [
            await stack.enter_async_context(registry_program(folder / name, {"REDIS_URL": url}))
            for name, url in zip(("one", "two"), redis_urls, strict=True)
        ]
        client = await stack.enter_async_context(aiohttp.ClientSession())
        await stack.enter_async_context(instances(registries, *NAMES[::2]))
        await stack.enter_async_context(instances(registries[::-1], *NAMES[1::2]))
        found = Mesh(registries, client)
        await found.agree(EVERYBODY)
        looking = spawn(found.look(), name="look")
        yield found
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
    assert len(found.seen) > 100
    for states in found.seen:
        assert EVERYBODY.items() <= states.items()


@pytest.mark.parametrize("way", ["frozen", "killed"])
async def test_while_redis_is_away_nobody_disappears_and_changes_arrive_afterwards(
    tmp_path: Path, way: str
) -> None:
    async def come_late() -> None:
        async with instances(found.registries, "late"):
            await asyncio.Event().wait()

    async with redis_server(tmp_path) as redis, mesh(tmp_path, redis.url, redis.url) as found:
        if way == "frozen":
            redis.freeze()
        else:
            await redis.kill()
        await asyncio.sleep(10)
        assert await found.weigh(7) == 503
        assert (await found.listed(found.registries[1]))["authoritative"] is False
        late = spawn(come_late(), name="come late")
        await asyncio.sleep(20)
        if way == "frozen":
            redis.thaw()
        else:
            await redis.start()  # and it is empty

        await found.agree({**EVERYBODY, "late": "passing"})
        await found.changes()
        await asyncio.sleep(2 * TTL)
        for registry in found.registries:
            instances_of = (await found.listed(registry))["instances"]
            assert [one["weight"] for one in instances_of if one["id"] == "i0"] == [7]
        late.cancel()
        await asyncio.gather(late, return_exceptions=True)


class Relay:
    """A way to Redis that can be cut, for one registry alone."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.cut = False

    async def start(self) -> str:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/0"

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, out = await asyncio.open_connection("127.0.0.1", self._port)
        for one, other in ((reader, out), (there, writer)):
            self._tasks.add(spawn(self._carry(one, other), name="relay"))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                if not self.cut:  # what is lost on the way is not told to anybody
                    writer.write(data)
        finally:
            writer.close()


async def test_a_registry_that_alone_is_cut_off_keeps_nobody_from_being_heard(
    tmp_path: Path,
) -> None:
    async with redis_server(tmp_path) as redis:
        relay = Relay(redis.port)
        url = await relay.start()
        try:
            async with mesh(tmp_path, url, redis.url) as found:
                relay.cut = True
                await asyncio.sleep(4 * TTL)
                assert await found.states(found.registries[1]) == EVERYBODY
                assert await found.weigh(7) == 503
                relay.cut = False
                await found.agree(EVERYBODY)
                await found.changes()
        finally:
            await relay.stop()
