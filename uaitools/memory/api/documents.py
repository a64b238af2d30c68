"""A memory as JSON, and the cursors of pages."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any, Final
from uuid import UUID

import orjson

from uaitools.memory.api import answers
from uaitools.memory.model import Memory
from uaitools.memory.store.memories import Place

_NAMES: Final = tuple(answers.Memory.model_fields)
_VALUES: Final = attrgetter(*_NAMES)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = -62_000_000_000_000_000, 250_000_000_000_000_000  # years 5 and 9892
assert set(_NAMES) == {one.name for one in fields(Memory)}


def document(memory: Memory) -> dict[str, Any]:
    """A memory with its fields in the order in which they are documented."""
    return dict(zip(_NAMES, _VALUES(memory), strict=True))


def encoded(value: object) -> bytes:
    """JSON, with times in UTC."""
    return orjson.dumps(value, _plain, orjson.OPT_UTC_Z)


def _plain(value: object) -> str:
    if isinstance(value, UUID):  # asyncpg has a class of its own
        return str(value)
    raise TypeError(f"{type(value).__name__} is nothing that JSON has")


def cursor(place: Place | None) -> str | None:
    """Where a page ended, as text for the next request."""
    if place is None:
        return None
    moment = (place.created_at - _EPOCH) // timedelta(microseconds=1)
    raw = moment.to_bytes(8, "big", signed=True) + place.id.bytes
    return urlsafe_b64encode(raw).decode()


def place(cursor: str | None) -> Place | None:
    """What `cursor` said, a text of 24 bytes."""
    if cursor is None:
        return None
    raw = urlsafe_b64decode(cursor)
    moment = int.from_bytes(raw[:8], "big", signed=True)
    since = timedelta(microseconds=max(_FIRST, min(_LAST, moment)))
    return Place(_EPOCH + since, UUID(bytes=raw[8:]))
