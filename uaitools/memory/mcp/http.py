"""POST /mcp: whose memories it is about, and whether the page that asks may do so."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING, Final

from aiohttp import hdrs, web

from uaitools.cors import ANY, CorsSettings
from uaitools.errors import ServiceError
from uaitools.memory.api import requests
from uaitools.memory.api.callers import owner
from uaitools.memory.errors import SERVICE, McpMissing
from uaitools.rest import query

if TYPE_CHECKING:
    from uaitools.memory.mcp.endpoint import Endpoint
    from uaitools.memory.service import MemoryService

PATH: Final = "/mcp"


def add_mcp(app: web.Application, service: MemoryService, cors: CorsSettings | None) -> None:
    """Add the resource to an application. cors: pages that may use it from a browser."""
    handler = McpHandler(service, cors.origins if cors is not None else ())
    app.router.add_post(PATH, handler.answer)
    app.on_cleanup.append(handler.stop)


class McpHandler:
    """Answers requests. The library is loaded for the first one: it takes 27 MB and 0.3 s.

    origins: of pages that may ask.
    """

    def __init__(self, service: MemoryService, origins: tuple[str, ...] = ()) -> None:
        self._service = service
        self._origins = frozenset(origins)
        self._loading = asyncio.Lock()
        self._endpoint: Endpoint | None = None

    def __repr__(self) -> str:
        return f"<McpHandler {self._endpoint!r}>"

    async def answer(self, request: web.Request) -> web.Response:
        """POST of a message. `user_id` stands in the query, where no model can change it."""
        self._admit_page(request)
        if request.content_type != "application/json":
            raise ServiceError(415, "send JSON as application/json", SERVICE)
        user = owner(request, query(request, requests.Whose).user_id)
        endpoint = self._endpoint or await self._load()
        return await endpoint.answer(request, user)

    async def stop(self, _app: web.Application) -> None:
        """Release everything."""
        if self._endpoint is not None:
            await self._endpoint.stop()

    def _admit_page(self, request: web.Request) -> None:
        """Refuse pages that are not known: one may have given our address to its own name.

        Browsers say with each POST which page sends it, even to where it came from (Fetch, 3.2).
        So the name that a request calls us by, of which an operator may have many, need not be
        known here.
        """
        for origin in request.headers.getall(hdrs.ORIGIN, ()):
            if not self._origins & {origin, ANY}:
                message = "pages may use this if [memory.cors] has their origin among `origins`"
                raise ServiceError(403, message, SERVICE)

    async def _load(self) -> Endpoint:
        async with self._loading:
            if self._endpoint is None:
                try:
                    module = await asyncio.to_thread(import_module, "uaitools.memory.mcp.endpoint")
                except ImportError as error:
                    raise McpMissing from error
                endpoint: Endpoint = module.Endpoint(self._service)
                endpoint.start()
                self._endpoint = endpoint
            return self._endpoint
