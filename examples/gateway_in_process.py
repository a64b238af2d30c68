"""A gateway inside one's own program, with a native path of the program's beside it.

Runs two upstreams and a gateway on free ports, asks through the gateway, and ends.
"""

import asyncio

from aiohttp import ClientSession, web

from uaitools.proxy import Gateway, ProxyConfig


async def upstream(name: str) -> tuple[web.AppRunner, str]:
    """A service that says its name; returns its runner and URL."""

    async def hello(request: web.Request) -> web.Response:
        return web.json_response({"upstream": name, "path": request.path})

    app = web.Application()
    app.router.add_get("/{tail:.*}", hello)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    return runner, f"http://{host}:{port}"


async def motd(_request: web.Request) -> web.Response:
    """A path that the gateway answers itself."""
    return web.Response(text="have a nice day\n")


async def main() -> None:
    """Ask four times through the gateway: the upstreams take turns."""
    runners = [await upstream("one"), await upstream("two")]
    config = ProxyConfig.model_validate(
        {
            "listen": "127.0.0.1:0",
            "services": {"hello": {"endpoints": [url for _, url in runners]}},
            "routes": [{"path": "/hello", "service": "hello"}],
        }
    )
    native = web.Application()
    native.router.add_get("/motd", motd)
    async with Gateway(config, app=native) as gateway, ClientSession() as session:
        base = f"http://{gateway.address}"
        for _ in range(4):
            async with session.get(f"{base}/hello/world") as response:
                print(response.status, await response.text())
        async with session.get(f"{base}/motd") as response:
            print(response.status, (await response.text()).strip())
    for runner, _ in runners:
        await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main())
