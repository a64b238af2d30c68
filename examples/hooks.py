"""A gateway that runs Python on each request's way: it adds a field, and answers by itself."""

import asyncio

import aiohttp
from aiohttp import web

from uaitools.proxy import Forward, Gateway, HookAnswer, HookRequest, ProxyConfig


async def upstream(request: web.Request) -> web.Response:
    """A service that shows what it got."""
    return web.Response(text=f"tenant {request.headers['X-Tenant']} asked for {request.path}")


async def main() -> None:
    """Ask for two paths, of which the hook answers one."""
    app = web.Application()
    app.router.add_get("/{path:.*}", upstream)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    config = ProxyConfig.model_validate(
        {
            "listen": "127.0.0.1:0",
            "services": {"shop": f"http://127.0.0.1:{port}"},
            "routes": [{"path": "/", "service": "shop"}],
        }
    )
    gateway = Gateway(config)

    @gateway.hook
    async def add_tenant(request: HookRequest, forward: Forward) -> HookAnswer | None:
        if request.path == "/closed":
            return HookAnswer(403, b"not today")
        request.headers["X-Tenant"] = "acme"
        response = await forward()
        response.headers["X-Seen"] = "yes"
        return None

    async with gateway, aiohttp.ClientSession(f"http://{gateway.address}") as client:
        for path in ("/shelf", "/closed"):
            async with client.get(path) as answer:
                print(answer.status, await answer.text(), answer.headers.get("X-Seen"))
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main())
