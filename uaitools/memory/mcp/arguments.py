"""What the tools take, as pydantic models. Language models read the descriptions."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import Field

from uaitools.fields import Asked
from uaitools.memory.api.fields import (
    SESSION,
    Budget,
    Content,
    Future,
    Kind,
    Limit,
    Metadata,
    Moment,
    SessionCursor,
    Tags,
)
from uaitools.memory.api.requests import Query
from uaitools.memory.ranking import Mode


class Remember(Asked):
    """A memory to be made."""

    content: Annotated[
        Content,
        Field(description="One fact, as a sentence that is understood without the conversation."),
    ]
    type: Annotated[
        Kind, Field(description="What it is, in one word: fact, preference, event, task.")
    ] = "fact"
    tags: Annotated[Tags, Field(description="Words to filter by later.")] = ()
    metadata: Annotated[Metadata, Field(description="Anything else, as JSON.")] = Field(
        default_factory=dict
    )
    expires_at: Annotated[
        Future | None, Field(description="When to forget it. A time with its UTC offset.")
    ] = None
    supersedes: Annotated[
        UUID | None,
        Field(description="Id of the memory that is no longer true because of this one."),
    ] = None


class Search(Asked):
    """What is looked for."""

    query: Annotated[
        Query,
        Field(
            description="What to look for, as a question or as words;"
            ' "quoted words" have to stand side by side.'
        ),
    ]
    limit: Annotated[Limit, Field(description="How many at most.")] = 10
    mode: Annotated[
        Mode, Field(description="By words (lexical), by meaning (vector), or by both.")
    ] = "hybrid"
    types: Annotated[tuple[Kind, ...], Field(max_length=64, description="Any of these types.")] = ()
    tags: Annotated[Tags, Field(description="All of these tags.")] = ()
    created_after: Annotated[
        Moment | None, Field(description="From this time on. With its UTC offset.")
    ] = None
    created_before: Annotated[
        Moment | None, Field(description="Before this time. With its UTC offset.")
    ] = None


class Context(Asked):
    """A conversation, and how much of it is wanted."""

    session_id: Annotated[str, Field(pattern=SESSION, description="Which conversation.")]
    budget: Annotated[Budget, Field(description="Tokens that it may take.")] = 4000
    query: Annotated[
        Query | None,
        Field(description="What it is to be about; without it, what the user said last."),
    ] = None


class Sessions(Asked):
    """Which conversations there were."""

    limit: Annotated[Limit, Field(description="How many at most.")] = 20
    cursor: Annotated[
        SessionCursor | None, Field(description="What `next` was, to go on from there.")
    ] = None


class Forget(Asked):
    """A memory to be deleted."""

    id: Annotated[UUID, Field(description="Id of the memory, as search_memories says it.")]
