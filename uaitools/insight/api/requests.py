"""What comes over HTTP, as pydantic models: OpenAPI is made of them.

Queries of fast paths are read by `parameters`, which knows of each what is said here.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from uaitools.insight.api.cursors import PATTERN
from uaitools.insight.api.searches import LANGUAGE, LONGEST
from uaitools.insight.store.boards import Category
from uaitools.insight.store.search import Sort
from uaitools.insight.trending.window import Window

# Blanks alone are nothing. Above 100 is 100.
_SAID = r"\S"
Whole = Annotated[int, Field(ge=0, lt=10**18)]
Limit = Annotated[int, Field(ge=1, lt=10**18)]
Language = Annotated[str, Field(max_length=LANGUAGE)]


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
    timeframe: Window = Window.WEEK
    language: Language | None = None
    limit: Limit = 50
    as_of: date | None = None
    explain: Literal["0", "1"] = "0"
    exclude: Literal["flagged", ""] = ""
