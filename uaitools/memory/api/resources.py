"""The HTTP resources of the service: which handler answers what, and what OpenAPI says of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from aiohttp import web

from uaitools.fields import USER
from uaitools.memory.api import answers, requests
from uaitools.memory.api.callers import ANY
from uaitools.memory.api.fields import SESSION
from uaitools.memory.api.forgetting import ForgettingHandler
from uaitools.memory.api.memories import KEY, VERSION, MemoryHandlers
from uaitools.memory.api.operating import OperatingHandlers
from uaitools.memory.api.searching import SearchHandler
from uaitools.memory.api.sessions import SessionHandlers
from uaitools.memory.api.transfer import NDJSON, TransferHandlers
from uaitools.memory.api.users import UserHandlers
from uaitools.memory.errors import SERVICE
from uaitools.openapi import Described
from uaitools.rest import Resource, serve

if TYPE_CHECKING:
    from uaitools.memory.service import MemoryService

_ONE: Final = "/memories/{id:[0-9A-Fa-f-]+}"  # no other name below /memories is one
_USER: Final = r"/users/{id:[\s\S]+}"  # line breaks as well: they are refused with a reason
_SESSION: Final = "/sessions/{id:[^/]+}"
_SESSIONS: Final = {"id": SESSION}
_IDS: Final = {"id": r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"}


def add_resources(app: web.Application, service: MemoryService, *, secured: bool) -> None:
    """Add everything to an application. secured: OpenAPI says that a token is needed."""
    described = Described(
        "uaitools memory", "Memories of users, found again.", secured, always=(429, 503, 504)
    )
    resources = (
        *_memories(MemoryHandlers(service)),
        *_searching(SearchHandler(service)),
        *_forgetting(ForgettingHandler(service)),
        *_transfer(TransferHandlers(service)),
        *_sessions(SessionHandlers(service)),
        *_users(UserHandlers(service)),
        *_operating(OperatingHandlers(service)),
    )
    serve(app, SERVICE, resources if secured else map(_naming, resources), described)


def _naming(resource: Resource) -> Resource:
    """The same where no token says who asks: every request has to name the user."""
    body = None if resource.body is None else requests.naming(resource.body)
    query = None if resource.query is None else requests.naming(resource.query)
    return replace(resource, body=body, query=query)


def _memories(memories: MemoryHandlers) -> Iterable[Resource]:
    return (
        Resource(
            "POST", "/memories", memories.create, "Remember something",
            answers.Memory, requests.NewMemory, status=201, also=(200,), errors=(403, 404, 409),
            headers={"Idempotency-Key": KEY},
        ),
        Resource(
            "GET", "/memories", memories.page, "A user's memories, newest first",
            answers.Memories, query=requests.Listing, errors=(403,),
        ),
        Resource(
            "POST", "/memories/batch", memories.create_many, "Remember several things",
            answers.ManyMade, requests.NewMemories, errors=(403,),
        ),
        Resource(
            "GET", _ONE, memories.get, "One memory",
            answers.Memory, query=requests.Reading, errors=(403, 404), patterns=_IDS,
        ),
        Resource(
            "PATCH", _ONE, memories.change, "Change a memory",
            answers.Memory, requests.Changes, query=requests.Whose, errors=(403, 404, 409, 412),
            headers={"If-Match": VERSION}, patterns=_IDS,
        ),
        Resource(
            "DELETE", _ONE, memories.delete, "Delete a memory for good",
            query=requests.Whose, status=204, errors=(403, 404), patterns=_IDS,
        ),
        Resource(
            "GET", f"{_ONE}/history", memories.history, "What a memory was before",
            answers.History, query=requests.HistoryListing, errors=(403, 404), patterns=_IDS,
        ),
    )  # fmt: skip


def _searching(searching: SearchHandler) -> Iterable[Resource]:
    return (
        Resource(
            "POST", "/memories/search", searching.search, "Find memories",
            answers.Results, requests.Search, errors=(403,),
        ),
    )  # fmt: skip


def _forgetting(forgetting: ForgettingHandler) -> Iterable[Resource]:
    return (
        Resource(
            "POST", "/memories/forget", forgetting.forget, "Delete memories by a policy",
            answers.Forgotten, requests.Forget, errors=(403,),
        ),
    )  # fmt: skip


def _transfer(transfer: TransferHandlers) -> Iterable[Resource]:
    return (
        Resource(
            "GET", "/memories/export", transfer.export, "All memories, one a line",
            query=requests.Transferred, errors=(403,), streams=(NDJSON,),
        ),
        Resource(
            "POST", "/memories/import", transfer.take, "Memories as an export has them",
            answers.Imported, query=requests.Transferred, errors=(400, 403, 413, 415),
            takes=(NDJSON,),
        ),
    )  # fmt: skip


def _users(users: UserHandlers) -> Iterable[Resource]:
    return (
        Resource(
            "DELETE", _USER, users.delete, "Delete everything of a user for good",
            answers.Deletion, also=(202,), errors=(403, 422), patterns={"id": USER},
        ),
        Resource(
            "DELETE", "/users", users.delete_named, "The same, with the user in the query",
            answers.Deletion, query=requests.Whose, also=(202,), errors=(403,),
        ),
        Resource(
            "GET", "/deletions/{id:[0-9A-Fa-f-]+}", users.receipt, "The receipt of a deletion",
            answers.Deletion, query=requests.Whose, errors=(403, 404), patterns=_IDS,
        ),
    )  # fmt: skip


def _operating(operating: OperatingHandlers) -> Iterable[Resource]:
    return (
        Resource(
            "GET", "/consistency", operating.consistency,
            "Whether the index has what the database has",
            answers.Consistency, scope=ANY,
        ),
        Resource(
            "POST", "/consistency/repair", operating.repair, "Have the index follow what it lacks",
            answers.Consistency, scope=ANY,
        ),
    )  # fmt: skip


def _sessions(sessions: SessionHandlers) -> Iterable[Resource]:
    return (
        Resource(
            "GET", "/sessions", sessions.list, "A user's sessions, the latest first",
            answers.Sessions, query=requests.SessionListing, errors=(403,),
        ),
        Resource(
            "GET", _SESSION, sessions.get, "One session",
            answers.Session, query=requests.Whose, errors=(403, 404), patterns=_SESSIONS,
        ),
        Resource(
            "DELETE", _SESSION, sessions.delete, "Delete a session for good",
            answers.RemovedSession, query=requests.EndedSession, errors=(403, 404),
            patterns=_SESSIONS,
        ),
        Resource(
            "POST", f"{_SESSION}/messages", sessions.add, "Say something in a session",
            answers.Said, requests.NewMessages, status=201, errors=(403, 409),
            headers={"Idempotency-Key": KEY}, patterns=_SESSIONS,
        ),
        Resource(
            "GET", f"{_SESSION}/messages", sessions.page, "What was said, newest first",
            answers.Messages, query=requests.MessageListing, errors=(403, 404), patterns=_SESSIONS,
        ),
        Resource(
            "GET", f"{_SESSION}/context", sessions.context,
            "What of a session and of memories fits a budget of tokens",
            answers.Context, query=requests.ContextWanted, errors=(403, 404), patterns=_SESSIONS,
        ),
    )  # fmt: skip
