"""Drains over HTTP: begun, ended, and waited for."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Final

import orjson
from aiohttp import web

from uaitools.registry.api import answers, requests
from uaitools.registry.api.documents import Documents
from uaitools.registry.api.instances import registration
from uaitools.registry.api.streams import Streams
from uaitools.registry.errors import SERVICE
from uaitools.registry.registry import Registry
from uaitools.rest import body, query

_STEP: Final = 0.25  # seconds between two looks at a drain


class Drains:
    """Handlers of an instance's drain. streams: whether the registry stops."""

    __slots__ = ("_documents", "_longest_wait", "_registry", "_streams")

    def __init__(
        self, registry: Registry, documents: Documents, streams: Streams, longest_wait: float
    ) -> None:
        self._registry = registry
        self._documents = documents
        self._streams = streams
        self._longest_wait = longest_wait

    def __repr__(self) -> str:
        return f"<Drains {self._registry!r}>"

    async def drain(self, request: web.Request) -> answers.DrainProgress:
        """POST of a drain: begun, or its deadline moved."""
        name, generation = registration(request)
        within = (await body(request, requests.DrainModel, SERVICE)).deadline
        await self._registry.drain(name, within, generation)
        return await self._progress_of(name)

    async def undrain(self, request: web.Request) -> bytes:
        """DELETE of a drain: the instance as it is then."""
        name, generation = registration(request)
        entry = await self._registry.drain(name, None, generation)
        return orjson.dumps(self._documents.instance(entry))

    async def progress(self, request: web.Request) -> answers.DrainProgress:
        """GET of a drain; with `wait` until it is over."""
        name = request.match_info["id"]
        until = monotonic() + min(query(request, requests.Waiting).wait, self._longest_wait)
        while True:
            progress = await self._progress_of(name)
            left = until - monotonic()
            over = progress.safe or progress.overdue or progress.deadline is None
            if over or left <= 0 or self._streams.closing:
                return progress
            # Watchers that apply a revision ring no bell, and they are many.
            await asyncio.sleep(min(_STEP, left))

    async def _progress_of(self, name: str) -> answers.DrainProgress:
        progress = await self._registry.progress(name)
        deadline = progress.deadline
        return answers.DrainProgress(
            id=name,
            index=progress.revision,
            safe=progress.safe,
            behind=progress.behind,
            in_flight=progress.in_flight,
            overdue=progress.overdue,
            deadline=None if deadline is None else self._documents.stamp(deadline),
        )
