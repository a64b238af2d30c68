"""The proxy as a handler: an aiohttp application that forwards one of its paths.

Runs an upstream and the application on free ports, asks once, and ends.
"""

import asyncio

from aiohttp import ClientSession, web

from uaitools.proxy import ReverseProxy


async def serve(app: web.Application) -> tuple[web.AppRunner, str]:
    """Serve an application on a free port; returns its runner and URL."""
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    return runner, f"http://{host}:{port}"


async def chat(request: web.Request) -> web.Response:
    """The upstream: says who asked, as the proxy told it."""
    return web.json_response(
        {"for": request.headers["X-Forwarded-For"], "got": await request.text()}
    )


async def front(_request: web.Request) -> web.Response:
    """The application's own page."""
    return web.Response(text="front page")


async def main() -> None:
    """Ask the application for its own page and for a forwarded one."""
    behind = web.Application()
    behind.router.add_post("/api/chat", chat)
    upstream, url = await serve(behind)

    proxy = ReverseProxy(url)
    app = web.Application()
    app.router.add_get("/", front)
    app.router.add_route("*", "/api/{tail:.*}", proxy.handle)
    app.cleanup_ctx.append(proxy.lifespan)
    runner, base = await serve(app)

    async with ClientSession() as session:
        async with session.get(base) as response:
            print(response.status, await response.text())
        async with session.post(f"{base}/api/chat", data="hello") as response:
            print(response.status, await response.text())
    await runner.cleanup()
    await upstream.cleanup()


if __name__ == "__main__":
    asyncio.run(main())
