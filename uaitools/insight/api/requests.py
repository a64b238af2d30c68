"""What comes over HTTP, as pydantic models: OpenAPI is made of them.

Queries of fast paths are read by `parameters`, which knows of each what is said here.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from pydantic import AfterValidator, AwareDatetime, BaseModel, Field

from uaitools.fields import Asked
from uaitools.insight.api.cursors import PATTERN
from uaitools.insight.api.searches import LANGUAGE, LONGEST
from uaitools.insight.store.boards import Category
from uaitools.insight.store.search import Sort

# Blanks alone are nothing. Above 100 is 100.
_SAID = r"\S"
_PRINTED = r"^[!-~]+$"
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_DATA = 16 * 1024  # bytes, as JSON


def _kept(data: dict[str, Any]) -> dict[str, Any]:
    """What PostgreSQL keeps. Raises ValueError for others."""
    try:
        text = orjson.dumps(data)
    except TypeError as error:  # too deep, or a number of over 64 bits
        raise ValueError(f"cannot be kept: {error}") from error
    if len(text) > _DATA:
        raise ValueError(f"has at most {_DATA} bytes as JSON")
    if _NUL.search(text) is not None:
        raise ValueError("has a text with U+0000, which PostgreSQL cannot keep")
    kept: dict[str, Any] = orjson.loads(text)  # without NaN, which is no JSON
    return kept


def _moment(value: datetime) -> datetime:
    """In UTC, of a year that both Python and PostgreSQL can write."""
    if not _EARLIEST <= value <= _LATEST:
        raise ValueError("is a moment of the years 1970 to 9999")
    return value.astimezone(UTC)


_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime(9999, 12, 30, tzinfo=UTC)
Moment = Annotated[AwareDatetime, AfterValidator(_moment)]
Data = Annotated[dict[str, Any], AfterValidator(_kept)]
Whole = Annotated[int, Field(ge=0, lt=10**18)]
Limit = Annotated[int, Field(ge=1, lt=10**18)]
Language = Annotated[str, Field(max_length=LANGUAGE)]


class Event(Asked):
    """A report. id: the reporter's; the same one is one event, however often it is sent.

    type: what has happened, such as analysis_completed. repository_id: an id, or owner/name;
    nothing for what is of none. timestamp: when; now if it is not said.
    """

    id: UUID | None = None
    type: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
    repository_id: Annotated[str, Field(min_length=1, max_length=200, pattern=_PRINTED)] | None = (
        None
    )
    timestamp: Moment | None = None
    data: Data = Field(default_factory=dict)


class Search(BaseModel):
    """A search."""

    q: Annotated[str, Field(min_length=1, max_length=LONGEST, pattern=_SAID)]
    language: Language | None = None
    min_stars: Whole | None = None
    sort: Sort = "stars"
    limit: Limit = 20
    offset: Whole = 0
    cursor: Annotated[str, Field(pattern=PATTERN)] | None = None


class Leaderboard(BaseModel):
    """A board."""

    category: Category = "trending"
    timeframe: Literal["day", "week", "month", "year"] = "week"
    language: Language | None = None
    limit: Limit = 50
    as_of: date | None = None
    explain: Literal["0", "1"] = "0"
    exclude: Literal["flagged", ""] = ""
