"""Memories as rows, both ways."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Final

import orjson
from asyncpg import Record

from uaitools.memory.analysis import VERSION
from uaitools.memory.analysis.document import Document
from uaitools.memory.model import Draft, Memory

_SHOWN: Final = tuple(one.name for one in fields(Memory))
COLUMNS: Final = ", ".join(_SHOWN)
"""What a memory is read from, see `memory_of`."""


def memory_of(row: Record) -> Memory:
    """The memory that a row of COLUMNS is."""
    values: dict[str, Any] = dict(row)
    values["tags"] = tuple(values["tags"])
    return Memory(**{name: values[name] for name in _SHOWN})


def written(draft: Draft, found: Document | None) -> dict[str, Any]:
    """The columns that follow from a draft, by their names. found: of its content, if it is new."""
    return {
        "user_id": draft.user_id,
        "type": draft.type,
        "content": draft.content,
        "tags": list(draft.tags),
        "metadata": orjson.dumps(dict(draft.metadata)).decode(),
        "agent_id": draft.agent_id,
        "session_id": draft.session_id,
        "external_id": draft.external_id,
        "expires_at": draft.expires_at,
        "pinned": draft.pinned,
        "supersedes": draft.supersedes,
        "twin": draft.twin,
        "words": None if found is None else found.lexemes,
        "length": None if found is None else found.length,
        "analysis": None if found is None else VERSION,
    }
