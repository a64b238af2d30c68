"""Handlers for operators."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from aiohttp import web

from uaitools.memory.rendering import encoded

if TYPE_CHECKING:
    from uaitools.memory.service import MemoryService


class OperatingHandlers:
    """What operators ask."""

    __slots__ = ("_service",)

    def __init__(self, service: MemoryService) -> None:
        self._service = service

    def __repr__(self) -> str:
        return f"<OperatingHandlers {self._service!r}>"

    async def consistency(self, _request: web.Request) -> bytes:
        """GET of whether the index has what the database has."""
        return encoded(asdict(await self._service.consistency.check()))

    async def repair(self, _request: web.Request) -> bytes:
        """POST: what is wrong is made right, soon."""
        return encoded(asdict(await self._service.repair()))
