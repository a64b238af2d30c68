"""Two registries that share a Redis which stops for half a minute: nobody disappears."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.peers.redis import redis_server
from tests.peers.registry_program import RegistryProgram, registry_program
from uaitools.registry.client import register
from uaitools.tasks import spawn

INSTANCES = 6
pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


async def listed(session: aiohttp.ClientSession, registry: RegistryProgram) -> dict[str, Any]:
    async with session.get(f"{registry.url}/v1/services/api") as answer:
        assert answer.status == 200
        found: dict[str, Any] = await answer.json()
        return found


def states(listing: dict[str, Any]) -> dict[str, str]:
    return {one["id"]: one["health"] for one in listing["instances"]}


@contextlib.asynccontextmanager
async def instances(urls: list[str], names: list[str]) -> AsyncIterator[None]:
    async with contextlib.AsyncExitStack() as stack:
        for name in names:
            registration = register(
                name="api", id=name, address="127.0.0.1", port=9001, urls=urls, ttl=10, drain=1
            )
            await stack.enter_async_context(registration)
            await registration.registered()
        yield


@pytest.mark.parametrize("way", ["frozen", "killed"])
async def test_while_redis_is_away_nobody_disappears_and_changes_arrive_afterwards(
    tmp_path: Path, way: str
) -> None:
    names = [f"i{number}" for number in range(INSTANCES)]
    async with contextlib.AsyncExitStack() as stack:
        redis = await stack.enter_async_context(redis_server(tmp_path))
        environ = {"REDIS_URL": redis.url}
        one = await stack.enter_async_context(registry_program(tmp_path / "one", environ))
        two = await stack.enter_async_context(registry_program(tmp_path / "two", environ))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        # Half of them talk to the first, half to the second.
        await stack.enter_async_context(instances([one.url, two.url], names[::2]))
        await stack.enter_async_context(instances([two.url, one.url], names[1::2]))
        everybody = dict.fromkeys(names, "passing")
        while states(await listed(session, one)) != everybody:
            await asyncio.sleep(0.1)
        seen: list[dict[str, str]] = []

        async def look() -> None:
            while True:
                for registry in (one, two):
                    seen.append(states(await listed(session, registry)))
                await asyncio.sleep(0.2)

        looking = spawn(look(), name="look")
        if way == "frozen":
            redis.freeze()
        else:
            await redis.kill()
        await asyncio.sleep(10)
        url = f"{one.url}/v1/services/i0"
        async with session.patch(url, json={"weight": 7}) as answer:
            assert answer.status == 503
            assert "Retry-After" in answer.headers
        assert (await listed(session, two))["authoritative"] is False
        late = spawn(_come_late(one, two), name="come late")
        await asyncio.sleep(20)
        if way == "frozen":
            redis.thaw()
        else:
            await redis.start()  # and it is empty

        for registry in (one, two):
            while states(await listed(session, registry)) != {**everybody, "late": "passing"}:
                await asyncio.sleep(0.1)
        async with session.patch(url, json={"weight": 7}) as answer:
            assert answer.status == 200
        await asyncio.sleep(15)  # longer than any ttl
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        for registry in (one, two):
            listing = await listed(session, registry)
            assert [o["weight"] for o in listing["instances"] if o["id"] == "i0"] == [7]
        first, second = [await listed(session, registry) for registry in (one, two)]
        assert (first["index"], first["epoch"]) == (second["index"], second["epoch"])
        late.cancel()
        await asyncio.gather(late, return_exceptions=True)
    assert len(seen) > 100
    for found in seen:
        assert everybody.items() <= {k: v for k, v in found.items() if k != "late"}.items()


async def _come_late(one: RegistryProgram, two: RegistryProgram) -> None:
    async with instances([one.url, two.url], ["late"]):
        await asyncio.Event().wait()
