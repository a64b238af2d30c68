"""A memory as it is shown: JSON, with times in UTC."""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import inf
from operator import attrgetter
from typing import Any, Final, Self
from uuid import UUID

import orjson

from uaitools.memory.model import Memory

FIELDS: Final = (
    *("id", "user_id", "type", "content", "tags", "metadata", "created_at", "updated_at"),
    *("access_count", "accessed_at", "pinned", "superseded", "version", "agent_id", "session_id"),
    *("external_id", "expires_at", "supersedes"),
)
"""In the order in which they are documented."""

_VALUES: Final = attrgetter(*FIELDS)
assert set(FIELDS) == {one.name for one in fields(Memory)}


@dataclass(frozen=True, slots=True)
class Rendered:
    """What is shown of a memory. expires: when, in unix seconds, or infinity. json: its fields."""

    version: int
    expires: float
    json: bytes

    @classmethod
    def read(cls, value: bytes) -> Self:
        """What `written` has made."""
        version, expires, json = value.split(b" ", 2)
        return cls(int(version), float(expires), json)

    @property
    def written(self) -> bytes:
        """As a cache keeps it."""
        return b"%d %a %b" % (self.version, self.expires, self.json)


def document(memory: Memory) -> dict[str, Any]:
    """The fields of a memory, in their order."""
    return dict(zip(FIELDS, _VALUES(memory), strict=True))


def encoded(value: object) -> bytes:
    """JSON, with times in UTC."""
    return orjson.dumps(value, _plain, orjson.OPT_UTC_Z)


def rendered(memory: Memory) -> Rendered:
    """A memory as it is shown."""
    ends = inf if memory.expires_at is None else memory.expires_at.timestamp()
    return Rendered(memory.version, ends, encoded(document(memory)))


def _plain(value: object) -> str:
    if isinstance(value, UUID):  # asyncpg has a class of its own
        return str(value)
    raise TypeError(f"{type(value).__name__} is nothing that JSON has")
