"""Where pages end, as texts for the next request."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from uaitools.memory.store.memories import Place
from uaitools.memory.store.sessions import SessionPlace

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = -62_135_596_800_000_000, 253_402_300_799_999_999  # years 1 to 9999


def cursor(place: Place | None) -> str | None:
    """Where a page of memories ended."""
    if place is None:
        return None
    raw = _microseconds(place.created_at).to_bytes(8, "big", signed=True) + place.id.bytes
    return urlsafe_b64encode(raw).decode()


def place(cursor: str | None) -> Place | None:
    """What `cursor` said, a text of 24 bytes."""
    if cursor is None:
        return None
    raw = urlsafe_b64decode(cursor)
    moment = int.from_bytes(raw[:8], "big", signed=True)
    since = timedelta(microseconds=max(_FIRST, min(_LAST, moment)))
    return Place(_EPOCH + since, UUID(bytes=raw[8:]))


def session_cursor(place: SessionPlace | None) -> str | None:
    """The same of a page of sessions."""
    return None if place is None else f"{_microseconds(place.updated_at)}.{place.id}"


def session_place(cursor: str | None) -> SessionPlace | None:
    """What `session_cursor` said."""
    if cursor is None:
        return None
    moment, _, name = cursor.partition(".")
    return SessionPlace(_EPOCH + timedelta(microseconds=int(moment)), name)


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)
