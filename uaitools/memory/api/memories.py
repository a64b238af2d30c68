"""Handlers of memories: one of them, several, and pages."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from aiohttp import hdrs, web

from uaitools.errors import ServiceError
from uaitools.filters import BadFilter
from uaitools.memory.api import requests
from uaitools.memory.api.callers import owner
from uaitools.memory.api.cursors import cursor, place
from uaitools.memory.errors import SERVICE, BadRequest, Busy, Outdated, Unknown
from uaitools.memory.model import Draft
from uaitools.memory.rendering import Rendered, document, encoded, rendered
from uaitools.memory.store.creating import Created, Outcome
from uaitools.memory.wanted import Wanted
from uaitools.postgres.errors import DatabaseAway, PoolExhausted, TooSlow
from uaitools.rest import answer, body, query

if TYPE_CHECKING:
    from uaitools.memory.service import MemoryService

KEY: Final = r"^[!-~]{1,255}$"  # of Idempotency-Key
VERSION: Final = r'^"[1-9][0-9]{0,18}"$'  # of If-Match: what ETag said
_KEY: Final = re.compile(KEY)
_VERSION: Final = re.compile(VERSION)
_OF_ALL: Final = (DatabaseAway, PoolExhausted, TooSlow, Busy)
REPLAYED: Final = {"Idempotency-Replayed": "true"}


class MemoryHandlers:
    """What the service does with memories."""

    __slots__ = ("_service",)

    def __init__(self, service: MemoryService) -> None:
        self._service = service

    def __repr__(self) -> str:
        return f"<MemoryHandlers {self._service!r}>"

    async def create(self, request: web.Request) -> web.Response:
        """POST of a memory: 201 when it is made, 200 when it is there."""
        asked = await body(request, requests.NewMemory, SERVICE)
        draft = _draft(owner(request, asked.user_id), asked)
        created = await self._service.create(draft, idempotency_key(request))
        # A request that is sent again gets what it got: its sender may look for 201.
        known = created.outcome is Outcome.DUPLICATE
        replayed = REPLAYED if created.outcome is Outcome.REPLAYED else {}
        return _answer(rendered(created.memory), 200 if known else 201, replayed)

    async def create_many(self, request: web.Request) -> bytes:
        """POST of several memories, each of which is made or refused by itself.

        Raises what says that the next one would fare no better, and not after one wait for each:
        those that were made until then are known when all are sent again.
        """
        if idempotency_key(request) is not None:
            raise BadRequest(
                "Idempotency-Key",
                "is for one memory; give each an external_id, by which it is known when sent again",
            )
        asked = await body(request, requests.NewMemories, SERVICE)
        drafts = [_draft(owner(request, one.user_id), one) for one in asked.memories]
        made = [await self._made(draft) for draft in drafts]
        return encoded({"results": made, "created": sum(one["created"] for one in made)})

    async def get(self, request: web.Request) -> web.Response:
        """GET of a memory."""
        asked = query(request, requests.Reading)
        user = owner(request, asked.user_id)
        return _answer(await self._service.get(user, _id(request), touch=asked.touch))

    async def page(self, request: web.Request) -> bytes:
        """GET of a page of memories."""
        asked = query(request, requests.Listing)
        wanted = Wanted(
            types=asked.type,
            all_tags=asked.tag,
            any_tags=asked.any_tag,
            no_tags=asked.no_tag,
            **{name: getattr(asked, name) for name in _LISTED},
        )
        user = owner(request, asked.user_id)
        after = place(asked.cursor)
        try:
            found = await self._service.memories.page(user, wanted, after, asked.limit)
        except BadFilter as error:
            raise BadRequest("metadata", str(error)) from error
        return encoded(
            {"memories": [document(one) for one in found.memories], "next": cursor(found.next)}
        )

    async def change(self, request: web.Request) -> web.Response:
        """PATCH of a memory."""
        whose = query(request, requests.Whose)
        asked = await body(request, requests.Changes, SERVICE)
        memory = await self._service.change(
            owner(request, whose.user_id), _id(request), _changes(asked), _expected(request)
        )
        return _answer(rendered(memory))

    async def delete(self, request: web.Request) -> None:
        """DELETE of a memory."""
        whose = query(request, requests.Whose)
        await self._service.delete(owner(request, whose.user_id), _id(request))

    async def history(self, request: web.Request) -> bytes:
        """GET of what a memory was before."""
        asked = query(request, requests.HistoryListing)
        user = owner(request, asked.user_id)
        versions, following = await self._service.memories.history(
            user, _id(request), asked.before, asked.limit
        )
        return encoded({"versions": versions, "next": following})

    async def _made(self, draft: Draft) -> dict[str, Any]:
        try:
            created: Created = await self._service.create(draft)
        except _OF_ALL:
            raise
        except ServiceError as error:
            details: Sequence[Any] = error.details or ()
            message = "; ".join(f"{one['field']}: {one['message']}" for one in details)
            refused = {"code": error.code, "message": message or error.message}
            return {"memory": None, "created": False, "error": refused}
        new = created.outcome is Outcome.CREATED
        return {"memory": document(created.memory), "created": new, "error": None}


def _draft(user: str, asked: requests.NewMemory) -> Draft:
    return Draft(**{**{name: getattr(asked, name) for name in _DRAFTED}, "user_id": user})


_DRAFTED: Final = tuple(requests.NewMemory.model_fields)
_LISTED: Final = {one.name for one in fields(Wanted)} & requests.Listing.model_fields.keys()


def _changes(asked: requests.Changes) -> dict[str, Any]:
    return {name: getattr(asked, name) for name in asked.model_fields_set}


def _id(request: web.Request) -> UUID:
    """The id of the path; what is none is nobody's memory."""
    try:
        return UUID(request.match_info["id"])
    except ValueError:
        raise Unknown from None


def idempotency_key(request: web.Request) -> str | None:
    """What a client calls a request that it may send again. Raises BadRequest."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and _KEY.fullmatch(key) is None:
        raise BadRequest("Idempotency-Key", "is 1 to 255 printable ASCII characters without blanks")
    return key


def _expected(request: web.Request) -> int | None:
    """The version that the memory has to have."""
    text = request.headers.get(hdrs.IF_MATCH)
    if text is None or text == "*":
        return None
    if _VERSION.fullmatch(text) is None:
        raise Outdated("If-Match is no version of the memory; it is the ETag that GET has said")
    return int(text[1:-1])


def _answer(
    memory: Rendered, status: int = 200, headers: Mapping[str, str] = MappingProxyType({})
) -> web.Response:
    return answer(memory.json, status, {hdrs.ETAG: f'"{memory.version}"', **headers})
