"""A memory, and what may be changed of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

from uaitools.memory.analysis.normal import normal

Named = tuple[str, UUID]
"""A memory by its user and its id: ids are their user's, and two users may have the same."""

_AROUND: Final = "\"'.,;:!?()[]…“”„\u2018\u2019\u201a«»"  # a word, and not of it


@dataclass(frozen=True, slots=True)
class Draft:
    """What somebody wants remembered.

    supersedes: the memory that this one contradicts; both are kept. expires_at: when it is
    forgotten.
    """

    user_id: str
    content: str
    type: str = "fact"
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    agent_id: str | None = None
    session_id: str | None = None
    external_id: str | None = None
    expires_at: datetime | None = None
    pinned: bool = False
    supersedes: UUID | None = None

    @property
    def twin(self) -> bytes:
        """See `twin_of`."""
        return twin_of(self.agent_id, self.content)


@dataclass(frozen=True, slots=True)
class Memory(Draft):
    """What is remembered. superseded: another one contradicts it. version: changes, from 1.

    access_count, accessed_at: how often it was read or found, and when last.
    """

    id: UUID = field(kw_only=True)
    created_at: datetime = field(kw_only=True)
    updated_at: datetime = field(kw_only=True)
    access_count: int = field(kw_only=True)
    accessed_at: datetime | None = field(kw_only=True)
    superseded: bool = field(kw_only=True)
    version: int = field(kw_only=True)


def twin_of(agent: str | None, content: str) -> bytes:
    """Equal for what says the same to the same agent, whatever its blanks and its words' case.

    The case of what is no plain word says something: of an identifier, a key, a path.
    """
    plain = " ".join(map(_folded, normal("NFC", content).split()))
    # The length keeps an agent's name apart from what follows it.
    name = "-" if agent is None else f"{len(agent)}:{agent}"
    return sha256(f"{name} {plain}".encode()).digest()


def _folded(part: str) -> str:
    """What stands between blanks; in lower case if it is a word, and nothing else has its case."""
    word = part.strip(_AROUND)
    if not word.isalpha() or word.islower():
        return part
    return part.lower() if word.isupper() or word[1:].islower() else part
