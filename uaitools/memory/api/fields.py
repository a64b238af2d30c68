"""The types of fields that come over HTTP, and how JSON schema tells of them."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, FailFast, Field, WithJsonSchema

from uaitools.fields import WHOLE

CONTENT: Final = 65_536  # characters
# Characters of its texts and names, of numbers as PostgreSQL writes them, and one for each value.
METADATA: Final = 16 * 1024
DEPTH: Final = 16  # of metadata
TAGS: Final = 64
SESSION: Final = r"^[A-Za-z0-9_][A-Za-z0-9_.:@~-]{0,255}$"  # it stands in paths as it is
SESSION_CURSOR: Final = r"^[0-9]{1,17}[.]" + SESSION[1:]
# PostgreSQL keeps no U+0000 in texts.
_TEXT: Final = r"^[^\u0000]*$"
# A group, lest schemathesis fold the length into it: it computes for seconds with {0,65535}.
_TELLING: Final = r"^([^\u0000]*[^\s\u0000][^\u0000]*)$"
_WHOLE: Final = range(-(1 << 63), 1 << 63)
_EARLIEST: Final = datetime(1, 1, 2, tzinfo=UTC)
_LATEST: Final = datetime(9999, 12, 30, tzinfo=UTC)


def _telling(text: str) -> str:
    if not text.strip():
        raise ValueError("has to say something")
    return text


def _moment(value: datetime) -> datetime:
    """In UTC, which leaves no year that Python or PostgreSQL could not write."""
    if not _EARLIEST <= value <= _LATEST:
        raise ValueError("is a moment of the years 1 to 9999")
    return value.astimezone(UTC)


def _random(name: UUID) -> UUID:
    """Ids are told to nobody but whose they are, and cannot be guessed: those of version 5 can."""
    if name.version == 5 or not name.int:
        raise ValueError("is no random UUID")
    return name


def _future(value: datetime) -> datetime:
    if value <= datetime.now(UTC):
        raise ValueError("is over; is the clock right?")
    return value


def _metadata(document: dict[str, Any]) -> dict[str, Any]:
    _weigh(document, 1, METADATA)
    return document


def _weigh(value: Any, depth: int, room: int) -> int:
    """What is left of so many characters, one for each value and name beside its own.

    Raises ValueError for what is more, and for what PostgreSQL cannot keep.
    """
    if depth > DEPTH:
        raise ValueError(f"values stand within each other at most {DEPTH} deep")
    room -= 1
    if isinstance(value, dict):
        for name, one in value.items():
            room = _weigh(one, depth + 1, _weigh(name, depth, room))
    elif isinstance(value, list):
        for one in value:
            room = _weigh(one, depth + 1, room)
    else:
        room -= _checked(value)
    if room < 0:
        raise ValueError(f"has at most {METADATA} characters in all")
    return room


def _checked(value: Any) -> int:
    """The characters of a value that stands for itself. Raises ValueError for what is not kept."""
    match value:
        case str():
            if "\0" in value:
                raise ValueError("has a text with U+0000, which PostgreSQL cannot keep")
            return len(value)
        case int() if value not in _WHOLE:
            raise ValueError("has a whole number of over 64 bits; send it as a text")
        case float() if not math.isfinite(value):
            raise ValueError("has a number that is none")
        case float():
            return len(f"{Decimal(repr(value)):f}")  # 5e-324 has 326
        case int() if not isinstance(value, bool):
            return len(str(value))
    return 0


Content = Annotated[
    str,
    Field(min_length=1, max_length=CONTENT, pattern=_TEXT),
    AfterValidator(_telling),
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "maxLength": CONTENT,
            "pattern": _TELLING,
        }
    ),
]
Kind = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]
Tag = Annotated[str, Field(min_length=1, max_length=128, pattern=_TEXT)]
Tags = Annotated[tuple[Tag, ...], Field(max_length=TAGS), FailFast()]
Name = Annotated[str, Field(min_length=1, max_length=256, pattern=_TEXT)]
Metadata = Annotated[dict[str, Any], AfterValidator(_metadata)]
MemoryId = Annotated[UUID, AfterValidator(_random)]
Moment = Annotated[AwareDatetime, AfterValidator(_moment)]
Future = Annotated[Moment, AfterValidator(_future)]
Limit = Annotated[int, Field(ge=1, le=100), WHOLE]
Best = Annotated[int, Field(ge=1, le=1_000_000_000), WHOLE]
Budget = Annotated[int, Field(ge=1, le=200_000), WHOLE]
Number = Annotated[int, Field(ge=1, lt=1 << 62), WHOLE]
Cursor = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{32}$")]
SessionId = Annotated[str, Field(pattern=SESSION)]
SessionCursor = Annotated[str, Field(pattern=SESSION_CURSOR)]
