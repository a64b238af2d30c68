"""A hub behind the gateway: WebSockets through its tunnel, events through its relay."""

from __future__ import annotations

import asyncio

import aiohttp
import orjson

from tests.hub.server.served import Client, served
from uaitools.proxy import Gateway, ProxyConfig


async def test_clients_come_through_the_gateway_with_their_own_address_and_origin() -> None:
    async with served(trusted_proxies=["127.0.0.0/8"], per_address=2) as hub:
        config = ProxyConfig.model_validate(
            {
                "listen": "127.0.0.1:0",
                "trusted_proxies": ["127.0.0.0/8"],
                "services": {"hub": {"endpoints": [hub.url]}},
                "routes": [{"path": "/", "service": "hub"}],
            }
        )
        async with Gateway(config) as gateway, aiohttp.ClientSession() as session:
            url = f"http://{gateway.address}"
            headers = {"Origin": url, "X-Forwarded-For": "203.0.113.7"}
            async with session.ws_connect(f"{url}/ws", headers=headers) as socket:
                client = Client(socket)
                client.welcome = await client.hear()
                await client.subscribe("a")
                [found] = (await hub.ask("GET", "/connections")).body["page"]
                assert (found["address"], found["kind"]) == ("203.0.113.7", "native")
                async with session.get(f"{url}/v1/sse?channel=a") as events:
                    assert b"subscribed" in await events.content.readuntil(b"\n\n")
                    await hub.publish("a", 1)
                    assert (await client.hear())["data"] == 1
                    async with asyncio.timeout(10):
                        while True:
                            text = await events.content.readuntil(b"\n\n")
                            if b"event: message" in text:
                                break
                    data = text.split(b"data: ")[1]
                    assert orjson.loads(data)["offset"] == 1
