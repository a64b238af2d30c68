"""ServiceClient, registrations and the real registry together: a rolling deploy under load."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from tests.peers.gateways import eventually
from tests.peers.registry import QUICK
from tests.peers.registry_program import RegistryProgram, registry_program
from tests.registry.client.instances import Instance, instance, policy
from uaitools.registry.client import Load, ServiceClient, Watcher, register
from uaitools.tasks import spawn

TIMING = replace(QUICK, connect=2.0, call=2.0, heartbeat=1.0, repeat=0.3)


@contextlib.asynccontextmanager
async def deployed(registry: RegistryProgram, name: str) -> AsyncIterator[Instance]:
    """A registered instance; leaving it drains it before it stops."""
    async with (
        instance(name) as one,
        register(
            name="api",
            address="127.0.0.1",
            port=one.port,
            id=name,
            ttl=3.0,
            drain=10.0,
            timing=TIMING,
            urls=[registry.url],
            load=lambda: Load(0, one.busy, 0),
        ) as registration,
    ):
        await registration.registered()
        yield one


async def calling(service: ServiceClient, stop: asyncio.Event, seen: Counter[str]) -> None:
    """Calls that nothing tries again once they have been sent."""
    while not stop.is_set():
        async with service.post("/", json={"n": 1}) as answer:
            assert answer.status == 200
            seen[await answer.text()] += 1
        await asyncio.sleep(0.001)


async def test_a_rolling_deploy_loses_no_call(tmp_path: Path) -> None:
    seen: Counter[str] = Counter()
    stop = asyncio.Event()
    async with (
        registry_program(tmp_path) as registry,
        Watcher([registry.url], name="caller", timing=TIMING) as watcher,
        ServiceClient("api", watcher=watcher, wait=10, policy=policy()) as api,
    ):
        generations = [contextlib.AsyncExitStack() for _ in range(6)]
        for number, stack in enumerate(generations[:3]):
            await stack.enter_async_context(deployed(registry, f"old-{number}"))
        await eventually(lambda: len(api.endpoints) == 3)
        callers = [spawn(calling(api, stop, seen), name=f"caller {n}") for n in range(6)]
        for number in range(3):
            new = f"new-{number}"
            await generations[3 + number].enter_async_context(deployed(registry, new))
            await eventually(partial(_called, seen, new))
            await generations[number].aclose()
        stop.set()
        await asyncio.gather(*callers)  # raises what any of them has met

        assert api.retries == 0
        assert api.requests == seen.total()
        assert {name for name, count in seen.items() if count} == {
            f"{age}-{number}" for age in ("old", "new") for number in range(3)
        }
        for stack in generations[3:]:
            await stack.aclose()


def _called(seen: Counter[str], name: str) -> bool:
    return seen[name] > 5
