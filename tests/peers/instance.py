"""An instance of a service as a process: it registers itself, serves, and on SIGTERM it drains.

Run as a module with the URL of a registry, the name of a service and its own id. It ends with
status 3 when it was told that it may stop while it had something to do, or was asked for more.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from aiohttp import web
from aiohttp.typedefs import Handler

from uaitools.registry.client import register
from uaitools.registry.model import Load

LONG = 0.05  # seconds that an answer takes: there is always something in flight
AFTERWARDS = 0.5  # seconds in which whoever still sends here would show


async def serve(registry: str, service: str, name: str) -> None:
    """Serve until SIGTERM, and for as long as the registry has callers go elsewhere."""
    busy = asked = 0

    @web.middleware
    async def counted(request: web.Request, handler: Handler) -> web.StreamResponse:
        nonlocal busy, asked
        asked += 1
        busy += 1
        try:
            return await handler(request)
        finally:
            busy -= 1

    async def answer(_request: web.Request) -> web.Response:
        await asyncio.sleep(LONG)
        return web.Response(text=name)

    app = web.Application(middlewares=[counted])
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    async with register(
        name=service,
        id=name,
        address="127.0.0.1",
        port=runner.addresses[0][1],
        urls=[registry],
        load=lambda: Load(in_flight=busy),
    ):
        await told.wait()
    # Now it may stop: there is nothing under way, and nobody sends anything any more.
    left, before = busy, asked
    await asyncio.sleep(AFTERWARDS)
    os._exit(3 if left or asked > before else 0)


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
