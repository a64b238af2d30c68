"""Calls to a service of two instances, one of which has too much to do.

With a registry it is `ServiceClient("greeter", urls=["http://127.0.0.1:8083"], zone="eu-1")`.
"""

import asyncio

from aiohttp import web
from aiohttp.typedefs import Handler

from uaitools.errors import ServiceError
from uaitools.registry.client import CallPolicy, ServiceClient, carried


async def greet(request: web.Request) -> web.Response:
    """What an instance with nothing to hold it up answers."""
    trace = request.headers["traceparent"]
    left = int(request.headers["X-Request-Timeout"])
    return web.Response(text=f"hello {await request.text()}, {trace[3:7]}, {left <= 30_000}")


async def busy(_request: web.Request) -> web.Response:
    """What one answers that has too much to do."""
    return web.Response(status=503)


async def serve(handler: Handler) -> tuple[web.AppRunner, str]:
    """An instance on a free port."""
    app = web.Application()
    app.router.add_get("/greet", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


async def main() -> None:
    """Who calls sees nothing of it: what can be asked twice is asked elsewhere."""
    one, first = await serve(greet)
    two, second = await serve(busy)
    policy = CallPolicy(balance="round_robin")
    members = [first, second]
    request = {"traceparent": f"00-{'cafe' * 8}-{'beef' * 4}-01"}  # one that came to us
    async with ServiceClient("greeter", members=members, policy=policy) as greeter:
        with carried(request):
            async with greeter.get("/greet", data="Ann") as answer:
                print(answer.status, await answer.text())
            async with greeter.get("/greet", data="Bob") as answer:
                print(answer.status, await answer.text())
        print(greeter.requests, "calls,", greeter.retries, "retry")
    async with ServiceClient("nobody", members=[]) as nobody:
        try:
            await nobody.get("/")
        except ServiceError as error:
            print(error)
    await one.cleanup()
    await two.cleanup()


if __name__ == "__main__":
    asyncio.run(main())
