"""An aiohttp application with the house's authentication, limits, errors, /health and /metrics."""

import asyncio
import time

import aiohttp
import jwt
from aiohttp import web

from uaitools.auth.authenticator import Authenticator
from uaitools.auth.config import AuthConfig
from uaitools.auth.middleware import PRINCIPAL, needs
from uaitools.limits.config import LimitsConfig
from uaitools.limits.front import Limits
from uaitools.limits.limit import Limit
from uaitools.metrics import Snapshot
from uaitools.traffic.limits import Rate
from uaitools.web import Health, application, json_response

SECRET = "one that everybody knows: for an example only"  # noqa: S105


@needs("notes:read")
async def notes(request: web.Request) -> web.Response:
    """What only its owner may read."""
    return json_response({"owner": request[PRINCIPAL].id, "notes": []})


async def snapshot() -> Snapshot:
    """No counts of our own."""
    return Snapshot.of([])


async def main() -> None:
    """Serve, and ask more often than is allowed."""
    auth = AuthConfig.model_validate({"jwt": {"secret": SECRET}})
    authenticator = Authenticator(auth, audience="notes")
    limits = Limits(LimitsConfig())
    app = application(
        "notes",
        health=lambda: Health({"database": True}),
        snapshot=snapshot,
        authenticator=authenticator,
        limits=limits,
        rules=[Limit("reads", Rate.parse("2/m"))],
    )
    app.router.add_get("/notes", notes)
    await authenticator.start()
    await limits.start()
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    token = jwt.encode({"sub": "ann", "scope": "notes:read", "exp": time.time() + 60}, SECRET)
    port = runner.addresses[0][1]
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
        async with client.get("/notes") as answer:
            print(answer.status, (await answer.json())["message"])
        for _ in range(3):
            headers = {"Authorization": f"Bearer {token}"}
            async with client.get("/notes", headers=headers) as answer:
                print(answer.status, answer.headers["RateLimit"])
    await runner.cleanup()
    await limits.stop()
    await authenticator.stop()


if __name__ == "__main__":
    asyncio.run(main())
