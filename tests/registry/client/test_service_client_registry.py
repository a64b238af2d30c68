"""ServiceClient with a registry that changes its mind, goes away and comes back."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.peers.gateways import eventually
from tests.peers.registry import RegistryPeer
from tests.peers.registry import instance as document
from tests.peers.servers import free_port
from tests.registry.client.instances import Instance, answering, instance, instances, policy
from uaitools.errors import ServiceError
from uaitools.registry.client import ServiceClient, Watcher


def entry(name: str, one: Instance, **fields: object) -> dict[str, object]:
    return document(name, address="127.0.0.1", port=one.port, **fields)


async def text(service: ServiceClient) -> str:
    async with service.get("/") as answer:
        return await answer.text()


async def test_a_service_is_found_and_followed(registry: RegistryPeer) -> None:
    async with instances("ab") as (one, two):
        registry.lists_of("api", entry("1", one))
        async with ServiceClient("api", urls=[registry.url], wait=5) as api:
            assert await text(api) == "a"

            await registry.say(type="put", service="api", index=2, instance=entry("2", two))
            await registry.say(
                type="put", service="api", index=3, instance=entry("1", one, health="draining")
            )
            await eventually(lambda: registry.said("applied")[-1]["index"] == 3)

            assert {await text(api) for _ in range(6)} == {"b"}


async def test_without_its_registry_a_client_goes_on(registry: RegistryPeer) -> None:
    async with instances("ab") as (one, two):
        registry.lists_of("api", entry("1", one), entry("2", two))
        async with ServiceClient("api", urls=[registry.url], wait=5, policy=policy()) as api:
            assert await text(api) == "a"
            await registry.stop()
            await eventually(lambda: api.view is not None and api.view.stale)

            assert {await text(api) for _ in range(4)} == {"a", "b"}
            await one.stop()  # breakers and retries do what the registry cannot say now
            assert {await text(api) for _ in range(10)} == {"b"}


async def test_a_start_without_a_registry_takes_the_list_on_disk(
    registry: RegistryPeer, tmp_path: Path
) -> None:
    cache = tmp_path / "lists.json"
    async with instance() as one:
        registry.lists_of("api", entry("1", one))
        async with ServiceClient("api", urls=[registry.url], cache=cache, wait=5) as api:
            assert await text(api) == "a"
        await registry.stop()

        async with ServiceClient("api", urls=[registry.url], cache=cache) as api:
            assert await text(api) == "a"
            assert api.view is not None
            assert api.view.stale


async def test_without_a_registry_and_a_list_the_error_says_so(registry: RegistryPeer) -> None:
    await registry.stop()
    async with ServiceClient("api", urls=[registry.url], wait=0.1) as api:
        with pytest.raises(ServiceError, match="no registry has given a list") as caught:
            await api.get("/")

    assert caught.value.code == 503
    assert str(registry.port) not in caught.value.message


async def test_several_clients_share_a_watcher(registry: RegistryPeer) -> None:
    async with instances("ab") as (one, two):
        registry.lists_of("one", entry("1", one))
        registry.lists_of("two", entry("2", two))
        async with (
            Watcher([registry.url]) as watcher,
            ServiceClient("one", watcher=watcher, wait=5) as first,
            ServiceClient("two", watcher=watcher, wait=5) as second,
        ):
            assert (await text(first), await text(second)) == ("a", "b")
            assert len(registry.sockets) == 1
            await first.close()
            await eventually(lambda: registry.said("unwatch"))
            assert await text(second) == "b"


async def test_the_registry_hears_what_calls_have_seen(registry: RegistryPeer) -> None:
    async with instance("a") as one, instance("b", answering(500)) as two:
        registry.lists_of(
            "api",
            entry("1", one, generation=7),
            entry("2", two, generation=8),
            document("3", address="127.0.0.1", port=free_port(), generation=9),
        )
        often = policy(report=0.2)
        async with ServiceClient("api", urls=[registry.url], wait=5, policy=often) as api:
            for _ in range(6):
                await text(api)
            await eventually(lambda: registry.said("observed"))
            seen = {one["id"]: one for one in registry.said("observed")[0]["observations"]}

            assert seen["1"]["generation"] == 7
            assert seen["1"]["failures"] == 0
            assert 0 < seen["1"]["latency_ms"] < 1000
            assert seen["2"]["failures"] == seen["2"]["requests"] > 0
            assert seen["3"]["connect_errors"] == seen["3"]["requests"] > 0
            assert seen["3"]["latency_ms"] == 0
            await asyncio.sleep(0.5)  # nothing was called: nothing is said
            assert len(registry.said("observed")) == 1
