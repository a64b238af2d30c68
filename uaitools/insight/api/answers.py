"""What goes over HTTP, as pydantic models: OpenAPI is made of them.

What is not known is null, and never 0.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from uaitools import openapi
from uaitools.insight.store.boards import Category
from uaitools.insight.trending.window import Window


class Error(openapi.Error):
    """What every error looks like. error: the message."""

    error: str


class Summary(BaseModel):
    """One repository.

    trending_score: of the week, 0 to 10. quality: 0 to 100. as_of: the day of the counts, from
    `source`; before `data_as_of`, the newest day of all data, where the source no longer tells of
    this repository.
    """

    id: UUID
    name: str
    full_name: str
    description: str
    language: str | None
    stars: int | None
    forks: int | None
    last_updated: datetime | None
    analysis_status: str
    analysed_at: datetime | None
    insight_count: int
    quality: float | None
    trending_score: float | None
    as_of: date | None
    source: str
    data_as_of: date | None


class Listed(BaseModel):
    """One in a list, see Summary."""

    id: UUID
    name: str
    full_name: str
    description: str
    language: str | None
    stars: int | None
    forks: int | None
    trending_score: float | None
    as_of: date | None
    source: str


class StarRanges(BaseModel):
    """How many have so many stars; 1000 belongs to the third."""

    few: int = Field(alias="0-10")
    some: int = Field(alias="11-100")
    many: int = Field(alias="101-1000")
    most: int = Field(alias="1000+")


class Facets(BaseModel):
    """What was found, by language and by stars. Whose are not known are in neither."""

    languages: dict[str, int]
    star_ranges: StarRanges


class Found(BaseModel):
    """A page of a search. total: exact. next: the cursor of the next page, null after the last.

    alike: nothing has what was asked for, and these have names nearly like it. as_of: of the newest
    data, null where there is none.
    """

    as_of: date | None
    source: str | None
    total: int
    alike: bool
    repositories: list[Listed]
    facets: Facets
    next: str | None


class Ranked(Listed):
    """One of a leaderboard. terms: what the score is made of, if that was asked for.

    flags: what casts doubt on it.
    """

    rank: int
    score: float
    flags: list[str]
    terms: dict[str, Any] | None = None


class Leaderboard(BaseModel):
    """The best, the first being the best; those that are even are in the order of their names.

    begin, end: the days of data that bound the window, window_actual days apart. coverage: the part
    of the window between them, 0 to 1. missing_days: of the window, of which nothing is known. All
    null for what has no window, or where there are no two days.
    """

    category: Category
    timeframe: Window
    as_of: date | None
    source: str | None
    begin: date | None
    end: date | None
    window_actual: int | None
    coverage: float | None
    missing_days: int | None
    repositories: list[Ranked]


class Recorded(BaseModel):
    """What became of a report. number: its place among all. new: it was not there before."""

    id: UUID
    number: int
    new: bool


class Memory(BaseModel):
    """Of the process: what it has allocated, and all that it holds, as 256MB.

    gc_cycles: how often garbage was collected.
    """

    allocated: str
    system: str
    gc_cycles: int


class Statistics(BaseModel):
    """How this process does: requests and their time of the last minute, the rest of now.

    average_response_time: as 15ms, null where there was no request. cache_hit_ratio: since the
    start, of fast paths; null where none was asked for. goroutines: as `tasks`.
    """

    requests_per_second: float
    average_response_time: str | None
    active_connections: int
    cache_hit_ratio: float | None
    memory_usage: Memory
    tasks: int
    goroutines: int
