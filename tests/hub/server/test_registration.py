"""A hub in a real registry: found while it serves, spared when it is full, drained as it ends."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp

from uaitools.addresses import Address
from uaitools.hub.budget import resident
from uaitools.hub.config import HubConfig
from uaitools.hub.server import HubServer
from uaitools.registry.client import Announced, RegistryClientConfig
from uaitools.registry.config import RegistryConfig
from uaitools.registry.server import RegistryServer
from uaitools.registry.store.embedded import EmbeddedStore
from uaitools.tasks import spawn

NOWHERE = Address("127.0.0.1", 0)


async def instances(registry: RegistryServer) -> list[dict[str, Any]]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://{registry.address}/v1/services/hub") as answer,
    ):
        found: list[dict[str, Any]] = (await answer.json())["instances"]
        return found


async def seen(registry: RegistryServer, **fields: object) -> None:
    """Wait until the one hub that is registered has these fields."""
    async with asyncio.timeout(20):
        while True:
            found = await instances(registry)
            if found and found[0].items() >= fields.items():
                return
            await asyncio.sleep(0.05)


async def test_a_hub_is_found_spared_when_it_is_full_and_drained_as_it_ends(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path, policy=RegistryConfig().policy)
    async with RegistryServer(RegistryConfig(listen=NOWHERE), store) as registry:
        server = HubServer(HubConfig(listen=NOWHERE))
        budget = server.hub.budget
        client = RegistryClientConfig(url=(f"http://{registry.address}",), address="127.0.0.1")
        hub = Announced(server, "hub", client, weight=lambda: int(not budget.full))
        await hub.start()
        try:
            await seen(registry, port=server.address.port, weight=1)
            budget.limit = int(resident() / 0.9)
            await seen(registry, weight=0)
            budget.limit = None
            await seen(registry, weight=1)
            draining = spawn(hub.drain(asyncio.get_running_loop().time() + 20), name="drain")
            await seen(registry, health="draining")
            await draining
        finally:
            await hub.stop()
        assert await instances(registry) == []
