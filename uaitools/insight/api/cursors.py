"""Where pages of a search end, as texts for the next request. Pure.

A cursor belongs to its query and to nothing else: it goes on behind the last repository that was
shown, by what that was sorted by, whatever has been imported since.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b
from struct import Struct
from typing import Final

from uaitools.insight.errors import BadQuery
from uaitools.insight.store.search import After

PATTERN: Final = r"^[A-Za-z0-9_-]{32}$"
_CURSOR: Final = re.compile(PATTERN[1:-1])
_PARTS: Final = Struct(">8sqq")
_UNKNOWN: Final = -(1 << 63)  # in place of a value that is not known; no value is that


def cursor(after: After | None, query: bytes) -> str | None:
    """Where a page ended; None after the last. query: what all pages have in common."""
    if after is None:
        return None
    value = _UNKNOWN if after.value is None else after.value
    return urlsafe_b64encode(_PARTS.pack(_digest(query), value, after.number)).decode()


def after(cursor: str | None, query: bytes) -> After | None:
    """What `cursor` said. Raises BadQuery for what it has not said of this query."""
    if cursor is None:
        return None
    said = _CURSOR.fullmatch(cursor) and urlsafe_b64decode(cursor)
    digest, value, number = _PARTS.unpack(said or bytes(_PARTS.size))
    if digest != _digest(query):
        raise BadQuery("cursor", "is of another query; ask without it for the first page")
    return After(None if value == _UNKNOWN else value, number)


def _digest(query: bytes) -> bytes:
    return blake2b(query, digest_size=8).digest()
