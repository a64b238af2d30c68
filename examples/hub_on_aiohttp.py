"""A hub inside an aiohttp application: it publishes, and adds a command of its own."""

import asyncio
from typing import Any

from aiohttp import web

from uaitools.hub.client import HubClient, Message
from uaitools.hub.hub import Hub
from uaitools.hub.session import Session

hub = Hub()


@hub.command("translate")
async def translate(_session: Session, data: Any) -> Any:
    """Answer a command that clients send."""
    return {"text": {"hello": "hallo"}.get(data["text"], "?")}


async def finish(request: web.Request) -> web.Response:
    """Tell everybody who is subscribed."""
    place = await hub.publish("builds", {"build": int(request.match_info["build"])})
    return web.Response(text=f"message {place.offset}")


async def main() -> None:
    """Serve, and be a client."""
    app = web.Application()
    app.router.add_post("/builds/{build}", finish)
    hub.mount(app)  # GET /hub/ws, POST /hub/v1/publish, /hub/health ...

    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    address = "{}:{}".format(*runner.addresses[0][:2])
    async with HubClient(f"ws://{address}/hub/ws") as client:
        print(await client.call("translate", {"text": "hello"}))
        async with client.subscribe("builds") as builds:
            await hub.publish("builds", {"build": 7})
            async for event in builds:
                if isinstance(event, Message):
                    print(event.place.offset, event.data)
                    break
    await runner.cleanup()


asyncio.run(main())
