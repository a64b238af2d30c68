"""What goes over HTTP, as pydantic models: OpenAPI is made of them.

What is not known is null, and never 0.
"""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from pydantic import BaseModel

from uaitools import openapi


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
