"""A hub over HTTP, as an aiohttp application: of the server, or mounted in another one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Final

from aiohttp import web

from uaitools.http_metrics import HttpMetrics
from uaitools.hub.api.resources import Api
from uaitools.hub.echo import echo
from uaitools.hub.errors import SERVICE
from uaitools.hub.metrics import samples
from uaitools.metrics import Registry, Snapshot, process
from uaitools.tasks import spawn
from uaitools.web import Health
from uaitools.web import application as component

if TYPE_CHECKING:
    from uaitools.hub.hub import Hub
    from uaitools.hub.siblings import Siblings

BODY: Final = 1024 * 1024  # bytes of a request
_LEFT: Final = 1.0  # seconds between two times that metrics are left for other workers


def application(
    hub: Hub, *, siblings: Siblings | None = None, echoes: bool = False
) -> web.Application:
    """All that a hub serves. It is started and stopped by the caller.

    siblings: the other workers of the same hub. echoes: say what a WebSocket at /echo says.
    """
    registry, requests = Registry(), HttpMetrics()
    api = Api(hub)
    registry.add(process)
    registry.add(requests.samples)
    registry.add(lambda: samples(hub, api))

    async def snapshot() -> Snapshot:
        own = registry.snapshot()
        return own if siblings is None else siblings.merged(own)

    def health() -> Health:
        return Health({"broker": not hub.broker.failing}, draining=hub.draining)

    app = component(
        SERVICE,
        health=health,
        snapshot=snapshot,
        app=web.Application(client_max_size=BODY),
        authenticator=hub.authenticator,
        cors=hub.config.cors,
        requests=requests,
    )
    api.add_to(app, secured=hub.authenticator is not None)
    if echoes:
        app.router.add_get("/echo", echo)
    if siblings is not None:
        app.cleanup_ctx.append(_leaving(siblings, registry))
    return app


def _leaving(
    siblings: Siblings, registry: Registry
) -> Callable[[web.Application], AsyncIterator[None]]:
    async def leave() -> None:
        while True:
            siblings.leave(registry.snapshot())
            await asyncio.sleep(_LEFT)

    async def life(_app: web.Application) -> AsyncIterator[None]:
        leaving = spawn(leave(), name="leave metrics")
        yield
        leaving.cancel()
        await asyncio.wait({leaving})

    return life
