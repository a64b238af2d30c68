"""What goes over HTTP, as pydantic models: OpenAPI is made of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel

from uaitools.memory.policy import Reason


class Memory(BaseModel):
    """What is remembered of a user."""

    id: UUID
    user_id: str
    type: str
    content: str
    tags: list[str]
    metadata: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    access_count: int
    accessed_at: datetime | None
    pinned: bool
    superseded: bool
    version: int
    agent_id: str | None
    session_id: str | None
    external_id: str | None
    expires_at: datetime | None
    supersedes: UUID | None


class Memories(BaseModel):
    """A page. next: the cursor of the next one, none after the last."""

    memories: list[Memory]
    next: str | None


class Refused(BaseModel):
    """Why one of several was not made."""

    code: int
    message: str


class Made(BaseModel):
    """What became of one of several: its memory, or why there is none."""

    memory: Memory | None = None
    created: bool = False
    error: Refused | None = None


class ManyMade(BaseModel):
    """What became of several, in their order."""

    results: list[Made]
    created: int


class Explained(BaseModel):
    """The parts of a score, each 0 to 1. matched: what was found of the query.

    In hybrid mode the score is (lexical + vector) / 2, times recency.
    """

    lexical: float
    vector: float
    recency: float
    matched: list[str]


class Result(Memory):
    """A memory that was found, and how well it fits."""

    score: float
    explain: Explained | None = None


class Results(BaseModel):
    """What was found, best first. degraded: what could not be searched.

    more: ids of what was found as well, and of which there was too much for one answer.
    """

    results: list[Result]
    more: list[UUID]
    mode: str
    degraded: list[str]


class Version(BaseModel):
    """What a memory was until it was changed."""

    version: int
    changed: str
    at: datetime
    document: dict[str, Any]


class History(BaseModel):
    """What a memory was before, newest first. next: what `before` is for the next page, if any."""

    versions: list[Version]
    next: int | None


class Deletion(BaseModel):
    """The receipt of a user's deletion.

    removed: how many rows of each kind went. left_over: what was found in each store afterwards.
    """

    id: UUID
    status: Literal["complete", "pending"]
    requested_at: datetime
    completed_at: datetime | None
    removed: dict[str, int]
    left_over: dict[str, int] | None


class Judged(BaseModel):
    """A memory that goes, and by which rules.

    unused_days: since it was last read or found, changed or made. rank: among those that are not
    pinned, by log2(1 + access_count) - unused_days / 30, superseded ones last.
    """

    id: UUID
    reasons: list[Reason]
    age_days: float
    unused_days: float
    access_count: int
    excerpt: str
    rank: int


class Forgotten(BaseModel):
    """What went by a policy, or would go; the first 100 of them, the worst first.

    more: there are more than are shown. left: those that the time was too short for; ask again.
    """

    dry_run: bool
    at: datetime
    count: int
    memories: list[Judged]
    more: bool
    left: int


class BadLine(BaseModel):
    """A line of an import that is no memory."""

    line: int
    message: str


class Imported(BaseModel):
    """What became of the lines of an import.

    present: the id was there. deleted: it is one of a memory that was deleted for good. duplicates:
    another memory has the content, or the external_id. refused: no memories; of these the first
    100 are told.
    """

    lines: int
    imported: int
    present: int
    deleted: int
    duplicates: int
    refused: int
    problems: list[BadLine]


class Faulty(BaseModel):
    """A memory whose entry in the index is wrong."""

    fault: Literal["ghost", "stale", "missing"]
    memory_id: UUID
    user_id: str


class Consistency(BaseModel):
    """Whether the index has what the database has; the first 100 faults are shown."""

    held: int
    rows: int
    ghosts: int
    stale: int
    missing: int
    shown: list[Faulty]


class Session(BaseModel):
    """A conversation. messages, memories: how many there are of it."""

    id: str
    user_id: str
    agent_id: str | None
    created_at: datetime
    updated_at: datetime
    messages: int
    memories: int


class Sessions(BaseModel):
    """A page. next: the cursor of the next one, none after the last."""

    sessions: list[Session]
    next: str | None


class Message(BaseModel):
    """What was said. number: its place in the session, from 1."""

    id: UUID
    session_id: str
    number: int
    role: str
    content: str
    metadata: dict[str, Any]
    created_at: datetime


class Said(BaseModel):
    """Messages that were added, in order."""

    messages: list[Message]


class Messages(BaseModel):
    """A page, newest first. next: what `before` is for the next one, none after the last."""

    messages: list[Message]
    next: int | None


class RemovedSession(BaseModel):
    """How much went with a session."""

    messages: int
    memories: int


class ContextLine(BaseModel):
    """A line of a context. source: the id of the memory or the message it comes from.

    number: as `text` has it: of a message in its session, of a memory in this context.
    """

    kind: Literal["memory", "digest", "turn"]
    source: UUID
    number: int
    role: str
    text: str


class Context(BaseModel):
    """What of a conversation fits the budget: memories, best first; a digest; messages.

    text: all lines as they are counted, for a model's prompt. tokens: of `text`. left_out: messages
    that are not there verbatim. query: what memories were looked for. degraded: what could not be.
    """

    session_id: str
    text: str
    tokens: int
    budget: int
    lines: list[ContextLine]
    left_out: int
    query: str
    degraded: list[str]
