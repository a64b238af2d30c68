"""What the tools say: as documents with a schema, and as text for models that read nothing else."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict


class Remembered(BaseModel):
    """What a model needs of a memory."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    content: str
    type: str
    tags: list[str]
    metadata: dict[str, Any]
    created_at: datetime


class Made(BaseModel):
    """created: false where it was remembered already."""

    memory: Remembered
    created: bool

    def text(self) -> str:
        """As a model reads it."""
        how = "Remembered" if self.created else "That was remembered already"
        return f"{how}, with id {self.memory.id}."


class Hit(Remembered):
    """score: how well it fits, 0 to 1."""

    score: float


class Found(BaseModel):
    """Best first. degraded: what could not be searched. more: how many did not fit in here."""

    memories: list[Hit]
    degraded: list[str]
    more: int = 0

    def text(self) -> str:
        """As a model reads it."""
        lines = [_line(one) for one in self.memories] or ["Nothing is remembered that fits."]
        if self.more:
            lines.append(f"{self.more} more were found, too long to be shown; ask for less.")
        if self.degraded:
            lines.append("Searched by words only: by meaning is not possible now.")
        return "\n".join(lines)


class Conversation(BaseModel):
    """What a model needs of a session. updated_at: when something was said in it last."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    messages: int
    updated_at: datetime

    def text(self) -> str:
        """As a model reads it."""
        return f"- {self.id} (messages: {self.messages}, {self.updated_at:%Y-%m-%d})"


class Conversations(BaseModel):
    """Those first in which something was said last. next: where they go on, if they do."""

    sessions: list[Conversation]
    next: str | None

    def text(self) -> str:
        """As a model reads it."""
        lines = [one.text() for one in self.sessions]
        if self.next is not None:
            lines.append(f"There are more; go on with cursor {self.next}")
        return "\n".join(lines) or "There are no earlier conversations."


class Excerpt(BaseModel):
    """memories: ids by their numbers in `context`, where they would cost more than most memories.

    left_out: messages that are not in it word by word. degraded: see Found.
    """

    context: str
    memories: dict[str, UUID]
    tokens: int
    left_out: int
    degraded: list[str]

    def text(self) -> str:
        """As a model reads it."""
        return self.context or "Nothing of it fits so few tokens."


class Forgotten(BaseModel):
    """id: of the memory that was deleted."""

    id: UUID

    def text(self) -> str:
        """As a model reads it."""
        return f"Deleted for good: memory {self.id}."


def _line(one: Hit) -> str:
    """One entry of a list. What a memory says stays within its entry, line breaks and all."""
    content = "\n  ".join(one.content.splitlines())
    tags = "".join(f", #{tag}" for tag in one.tags)
    return f"- {content}\n  ({one.type}{tags}, {one.created_at:%Y-%m-%d}, id {one.id})"
