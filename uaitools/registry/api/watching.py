"""What watchers say over HTTP, and where their streams begin."""

from __future__ import annotations

from aiohttp import hdrs, web

from uaitools.errors import ServiceError
from uaitools.registry.api import requests
from uaitools.registry.api.streams import Streams, named
from uaitools.registry.errors import SERVICE
from uaitools.registry.registry import Registry
from uaitools.rest import body, query


class Watching:
    """Handlers of acknowledgements, observations and streams."""

    __slots__ = ("_registry", "_streams")

    def __init__(self, registry: Registry, streams: Streams) -> None:
        self._registry = registry
        self._streams = streams

    def __repr__(self) -> str:
        return f"<Watching {self._streams!r}>"

    async def applied(self, request: web.Request) -> None:
        """POST of a revision that a watcher has applied."""
        said = await body(request, requests.Applied, SERVICE)
        service = request.match_info["id"]
        watcher = named(request, said.watcher)
        self._registry.acknowledge(service, watcher, said.index, said.epoch)
        await self._registry.store.introduce()
        if said.epoch != self._registry.table.epoch:
            raise ServiceError(409, "that epoch is over: list again", SERVICE)

    async def observe(self, request: web.Request) -> None:
        """POST of what a proxy has seen."""
        said = await body(request, requests.Observations, SERVICE)
        watcher = named(request, said.watcher)
        await self._registry.observe(watcher, [one.observation() for one in said.observations])

    async def watch(self, request: web.Request) -> web.StreamResponse:
        """GET of a stream: a WebSocket, or server-sent events."""
        if request.headers.get(hdrs.UPGRADE, "").lower() == "websocket":
            return await self._streams.websocket(request)
        services = query(request, requests.WatchQuery).service
        if not services:
            raise ServiceError(422, "name what to watch: /v1/watch?service=NAME", SERVICE)
        return await self._streams.events(request, services)
