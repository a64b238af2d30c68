"""A client of the hub that loses its connection, and nothing of what was said meanwhile.

The hub is `python -m uaitools.hub` where it is a program of its own.
"""

import asyncio
from dataclasses import dataclass

from uaitools.addresses import Address
from uaitools.hub.client import Gap, HubClient, Invalid, Message, Reset
from uaitools.hub.config import HubConfig
from uaitools.hub.server import HubServer


@dataclass(frozen=True, slots=True)
class Build:
    """What messages of the channel hold."""

    build: int
    passed: bool = True


async def main() -> None:
    """Say four things, one of them while nobody is connected, and read them all."""
    async with HubServer(HubConfig(listen=Address("127.0.0.1", 0))) as server:
        url = f"ws://{server.address}/ws"
        async with HubClient(url) as hub, hub.subscribe("builds", data=Build) as builds:
            await hub.publish("builds", {"build": 1}, type="finished")
            await hub.publish("builds", {"build": "two"}, type="finished")
            [connection] = server.hub.sessions
            connection.socket.cut_off()
            await server.hub.publish("builds", {"build": 3}, type="finished")
            await hub.publish("builds", {"build": 4, "passed": False}, type="finished", retry=True)
            async for event in builds:
                match event:
                    case Message(offset=offset, data=Build() as build):
                        print(offset, event.type, build)
                    case Invalid():
                        print(event.place.offset, "is no build:", event.message.data)
                    case Gap(first=first, last=last):
                        print("lost:", first, "to", last)
                    case Reset():
                        print("the hub begins anew")
                if builds.place and builds.place.offset == 4:
                    break


if __name__ == "__main__":
    asyncio.run(main())
