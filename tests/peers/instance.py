"""An instance of a service as a process: it registers itself, serves, and on SIGTERM it drains.

Run as a module with the URL of a registry, the name of a service and its own id.
"""

from __future__ import annotations

import asyncio
import signal
import sys

from aiohttp import web
from aiohttp.typedefs import Handler

from uaitools.registry.client import register
from uaitools.registry.model import Load


async def serve(registry: str, service: str, name: str) -> None:
    """Serve until SIGTERM, and for as long as the registry has callers go elsewhere."""
    busy = 0

    @web.middleware
    async def counted(request: web.Request, handler: Handler) -> web.StreamResponse:
        nonlocal busy
        busy += 1
        try:
            return await handler(request)
        finally:
            busy -= 1

    async def answer(_request: web.Request) -> web.Response:
        await asyncio.sleep(0.002)  # so that there is something in flight
        return web.Response(text=name)

    app = web.Application(middlewares=[counted])
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
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
    # Whatever comes now is lost: there is nobody who would be asked to wait for it.
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
