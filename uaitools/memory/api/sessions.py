"""Handlers of conversations: what was said in them, and what of it fits a prompt."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from uaitools.memory.api import requests
from uaitools.memory.api.callers import owner
from uaitools.memory.api.cursors import session_cursor, session_place
from uaitools.memory.api.fields import SESSION
from uaitools.memory.api.memories import REPLAYED, idempotency_key
from uaitools.memory.context.line import Line
from uaitools.memory.errors import SERVICE, BadRequest
from uaitools.memory.rendering import encoded
from uaitools.memory.store.sessions import Said
from uaitools.rest import answer, body, query

if TYPE_CHECKING:
    from uaitools.memory.contexts import Assembled
    from uaitools.memory.service import MemoryService

_ID: Final = re.compile(SESSION)


class SessionHandlers:
    """What the service does with conversations."""

    __slots__ = ("_service",)

    def __init__(self, service: MemoryService) -> None:
        self._service = service

    def __repr__(self) -> str:
        return f"<SessionHandlers {self._service!r}>"

    async def add(self, request: web.Request) -> web.Response:
        """POST of messages."""
        session = _session(request)
        asked = await body(request, requests.NewMessages, SERVICE)
        said = [Said(**dict(one)) for one in asked.messages]
        added = await self._service.sessions.add(
            owner(request, asked.user_id),
            session,
            said,
            agent=asked.agent_id,
            key=idempotency_key(request),
        )
        replayed = REPLAYED if added.replayed else {}
        return answer(encoded({"messages": added.messages}), 201, replayed)

    async def page(self, request: web.Request) -> bytes:
        """GET of messages."""
        asked = query(request, requests.MessageListing)
        messages, following = await self._service.sessions.page(
            owner(request, asked.user_id), _session(request), asked.before, asked.limit
        )
        return encoded({"messages": messages, "next": following})

    async def list(self, request: web.Request) -> bytes:
        """GET of a page of sessions."""
        asked = query(request, requests.SessionListing)
        sessions, following = await self._service.sessions.list(
            owner(request, asked.user_id), asked.agent_id, session_place(asked.cursor), asked.limit
        )
        return encoded({"sessions": sessions, "next": session_cursor(following)})

    async def get(self, request: web.Request) -> bytes:
        """GET of a session."""
        whose = query(request, requests.Whose)
        user = owner(request, whose.user_id)
        return encoded(await self._service.sessions.get(user, _session(request)))

    async def delete(self, request: web.Request) -> bytes:
        """DELETE of a session."""
        asked = query(request, requests.EndedSession)
        removed = await self._service.end_session(
            owner(request, asked.user_id), _session(request), memories=asked.memories
        )
        return encoded(removed)

    async def context(self, request: web.Request) -> bytes:
        """GET of the context of a session."""
        asked = query(request, requests.ContextWanted)
        session = _session(request)
        user = owner(request, asked.user_id)
        made = await self._service.context(
            user, session, asked.budget, asked.query, touch=asked.touch
        )
        return encoded(
            {
                "session_id": session,
                "text": made.context.text,
                "tokens": made.context.tokens,
                "budget": asked.budget,
                "lines": [_line(line, made) for line in made.context.lines],
                "left_out": made.left_out,
                "query": made.query,
                "degraded": made.degraded,
            }
        )


def _session(request: web.Request) -> str:
    name = request.match_info["id"]
    if _ID.fullmatch(name) is None:
        reason = "is 1 to 256 letters, digits and any of _.:@~-, and begins with none of .:@~-"
        raise BadRequest("id", reason)
    return name


def _line(line: Line, made: Assembled) -> dict[str, Any]:
    ids = made.memories if line.kind == "memory" else made.messages
    return {
        "kind": line.kind,
        "source": ids[line.source],
        "number": int(line.source),
        "role": line.role,
        "text": line.text,
    }
