"""Handlers of what is done to all memories of a user."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING
from uuid import UUID

from aiohttp import web

from uaitools.fields import user_id
from uaitools.memory.api import requests
from uaitools.memory.api.callers import owner
from uaitools.memory.errors import BadRequest, Unknown
from uaitools.memory.rendering import encoded
from uaitools.memory.store.deletions import Receipt
from uaitools.rest import answer, query

if TYPE_CHECKING:
    from uaitools.memory.service import MemoryService


class UserHandlers:
    """What is done to a user."""

    __slots__ = ("_service",)

    def __init__(self, service: MemoryService) -> None:
        self._service = service

    def __repr__(self) -> str:
        return f"<UserHandlers {self._service!r}>"

    async def delete(self, request: web.Request) -> web.Response:
        """DELETE of a user: 200 when nothing of theirs is left, 202 while a store is away."""
        try:
            named = user_id(request.match_info["id"])
        except ValueError as error:
            raise BadRequest("id", str(error)) from error
        return await self._deleted(owner(request, named))

    async def delete_named(self, request: web.Request) -> web.Response:
        """The same of the user in the query: an id such as `..` cannot stand in a path."""
        whose = query(request, requests.Whose)
        return await self._deleted(owner(request, whose.user_id))

    async def _deleted(self, user: str) -> web.Response:
        receipt = await self._service.deleting.delete(user)
        status = 202 if receipt.completed_at is None else 200
        return answer(_body(receipt), status)

    async def receipt(self, request: web.Request) -> bytes:
        """GET of the receipt of a deletion."""
        whose = query(request, requests.Whose)
        try:
            name = UUID(request.match_info["id"])
        except ValueError:
            name = UUID(int=0)
        found = await self._service.deletions.receipt(owner(request, whose.user_id), name)
        if found is None:
            raise Unknown("deletion with that id", listed="")
        return _body(found)


def _body(receipt: Receipt) -> bytes:
    status = "pending" if receipt.completed_at is None else "complete"
    return encoded({"status": status, **asdict(receipt)})
