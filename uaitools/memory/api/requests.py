"""What comes over HTTP: bodies and queries, as pydantic models."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Final, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, FailFast, Field, Json, create_model, model_validator

from uaitools.fields import Asked, User
from uaitools.memory.api.fields import (
    Best,
    Budget,
    Content,
    Cursor,
    Future,
    Kind,
    Limit,
    MemoryId,
    Metadata,
    Moment,
    Name,
    Number,
    SessionCursor,
    SessionId,
    Tags,
)
from uaitools.memory.ranking import Mode

Days = Annotated[float, Field(ge=0.001, le=36_500)]
Part = Annotated[float, Field(ge=0, le=1)]


class Whose(Asked):
    """Whose memories a request is about: the caller's own unless a service names the user."""

    user_id: User | None = None


class NewMemory(Whose):
    """A memory to be made.

    external_id: a name of the caller's; the same one makes one memory. supersedes: the memory that
    this one contradicts; both are kept, and only the newer one is found.
    """

    content: Content
    type: Kind = "fact"
    tags: Tags = ()
    metadata: Metadata = Field(default_factory=dict)
    agent_id: Name | None = None
    session_id: SessionId | None = None
    external_id: Name | None = None
    expires_at: Future | None = None
    pinned: bool = False
    supersedes: UUID | None = None


class NewMemories(Asked):
    """Several, each of which is made or refused by itself."""

    memories: Annotated[tuple[NewMemory, ...], Field(min_length=1, max_length=1000), FailFast()]


class ImportedMemory(NewMemory):
    """A line of an import: a memory as an export has it."""

    id: MemoryId
    created_at: Moment
    updated_at: Moment
    expires_at: Moment | None = None
    access_count: Annotated[int, Field(ge=0, lt=1 << 62)] = 0
    accessed_at: Moment | None = None
    version: Annotated[int, Field(ge=1, lt=1 << 62)] = 1
    superseded: bool = False


class Transferred(Asked):
    """Whose memories go out or come in: the caller's, or a service's all unless it names a user."""

    user_id: User | None = None


class NewNamedMemory(NewMemory):
    """The same where no token says whose it is."""

    user_id: User


class NewNamedMemories(NewMemories):
    """The same where no token says whose they are."""

    memories: Annotated[
        tuple[NewNamedMemory, ...], Field(min_length=1, max_length=1000), FailFast()
    ]


def naming(model: type[BaseModel]) -> type[BaseModel]:
    """A model in which whoever asks has to name the user, for OpenAPI."""
    if model is NewMemories:
        return NewNamedMemories
    if not issubclass(model, Whose):
        return model
    return create_model(model.__name__, __base__=model, __doc__=model.__doc__, user_id=(User, ...))


def _undefined(schema: dict[str, Any]) -> None:
    """What is left out is kept: there is no default."""
    schema.pop("default", None)


_KEPT: Final[Any] = partial(Field, json_schema_extra=_undefined)


class Changes(Asked):
    """What is to be changed of a memory; null takes a field away that need not be there."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    content: Content = _KEPT(default="")
    type: Kind = _KEPT(default="")
    tags: Tags = _KEPT(default=())
    metadata: Metadata = _KEPT(default_factory=dict)
    agent_id: Name | None = None
    session_id: SessionId | None = None
    external_id: Name | None = None
    expires_at: Future | None = None
    pinned: bool = _KEPT(default=False)

    @model_validator(mode="after")
    def _there(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("name a field to change")
        return self


class TagsWanted(Asked):
    """Which tags memories have: some of `any`, all of `all`, and none of `none`."""

    any: Tags = ()
    all: Tags = ()
    none: Tags = ()


class Filter(Asked):
    """Which memories are wanted; all that is given holds. Times: from, and before."""

    type: Annotated[tuple[Kind, ...], Field(max_length=64), FailFast()] = ()
    tags: TagsWanted = TagsWanted()
    metadata: dict[str, Any] | None = None
    agent_id: Name | None = None
    session_id: SessionId | None = None
    external_id: Name | None = None
    pinned: bool | None = None
    created_after: Moment | None = None
    created_before: Moment | None = None
    updated_after: Moment | None = None
    updated_before: Moment | None = None
    superseded: bool = False


Query = Annotated[str, Field(min_length=1, max_length=4096, pattern=r"^[^\u0000]*$")]


class Policy(Asked):
    """Rules, by each of which a memory goes that is not pinned; at least one.

    older_than_days: since it was made. unused_for_days: since it was last read or found, changed
    or made. keep_best: so many stay.
    """

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    older_than_days: Days = _KEPT(default=None)
    unused_for_days: Days = _KEPT(default=None)
    keep_best: Best = _KEPT(default=None)

    @model_validator(mode="after")
    def _says(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("name a rule: older_than_days, unused_for_days or keep_best")
        return self


class FilterOfPolicy(Filter):
    """Which memories a policy is for; those that were superseded are, unless it says no."""

    superseded: bool = True


class Forget(Whose):
    """What is to be forgotten. dry_run: nothing is, what would be is told; so unless it says no."""

    policy: Policy
    filter: FilterOfPolicy = FilterOfPolicy()
    dry_run: bool = True


class Search(Whose):
    """What is looked for, in words; "quoted words" have to stand side by side.

    half_life_days: the age after which a memory counts for half. min_score: 0 to 1. touch: what is
    found counts as read.
    """

    query: Query
    limit: Limit = 10
    mode: Mode = "hybrid"
    filter: Filter = Filter()
    min_score: Part = 0.0
    half_life_days: Days | None = None
    explain: bool = False
    touch: bool = True


class Listing(Whose):
    """A page of memories, newest first. Of the types any.

    tag: all of them; any_tag: one of them at least; no_tag: none. metadata: a filter, as JSON.
    """

    type: Annotated[tuple[Kind, ...], Field(max_length=64), FailFast()] = ()
    tag: Tags = ()
    any_tag: Tags = ()
    no_tag: Tags = ()
    metadata: Json[dict[str, Any]] | None = None
    agent_id: Name | None = None
    session_id: SessionId | None = None
    external_id: Name | None = None
    pinned: bool | None = None
    created_after: Moment | None = None
    created_before: Moment | None = None
    updated_after: Moment | None = None
    updated_before: Moment | None = None
    superseded: bool = False
    cursor: Cursor | None = None
    limit: Limit = 50


class Reading(Whose):
    """One memory. touch: it counts as read."""

    touch: bool = True


class HistoryListing(Whose):
    """A page of what a memory was, newest first. before: only versions before that one."""

    before: Number | None = None
    limit: Limit = 100


class NewMessage(Asked):
    """What is said. role: user, assistant, system, tool or another word. created_at: when."""

    role: Kind
    content: Content
    metadata: Metadata = Field(default_factory=dict)
    created_at: Moment | None = None


class NewMessages(Whose):
    """What is said next in a session, in order. agent_id: with whom the session is."""

    messages: Annotated[tuple[NewMessage, ...], Field(min_length=1, max_length=100), FailFast()]
    agent_id: Name | None = None


class MessageListing(Whose):
    """A page of messages, newest first. before: only those of lower numbers."""

    before: Number | None = None
    limit: Limit = 50


class SessionListing(Whose):
    """A page of sessions, those first in which something was said last."""

    agent_id: Name | None = None
    cursor: SessionCursor | None = None
    limit: Limit = 50


class EndedSession(Whose):
    """A session that is to go. memories: those that were made in it as well."""

    memories: bool = False


class ContextWanted(Whose):
    """The context of a session. budget: tokens. query: the newest message of the user's, if none.

    touch: memories that are in it count as read.
    """

    budget: Budget = 4000
    query: Query | None = None
    touch: bool = True
