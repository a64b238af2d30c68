"""How a repository stands in lists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

FIELDS: Final = (
    *("id", "name", "full_name", "description", "language", "stars", "forks"),
    *("trending_score", "as_of", "source"),
)
"""What is shown; what is not known is None. as_of, source: the day of the counts, and who told of
them."""

TABLES: Final = """
    repositories JOIN standings ON standings.repository = repositories.number
        LEFT JOIN languages ON languages.number = standings.language
        LEFT JOIN scores ON scores.repository = repositories.number
"""
KEY: Final = "lower(repositories.owner || '/' || repositories.name)"
"""What ties are broken by: no two have it, and it depends on nothing that was there before."""


def columns(counts: str = "standings", day: str = "last_day") -> str:
    """FIELDS of a repository, from TABLES. counts, day: where its counts stand."""
    return f"""
        repositories.id, repositories.name,
        repositories.owner || '/' || repositories.name AS full_name, repositories.description,
        languages.name AS language, {counts}.stars, {counts}.forks,
        scores.trending AS trending_score,
        {counts}.{day} AS as_of, repositories.source
    """


def shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """FIELDS of a row of `columns`, as JSON has it."""
    return {**{name: row[name] for name in FIELDS}, "trending_score": tenths(row["trending_score"])}


def tenths(score: float | None) -> float | None:
    """A score as it is shown."""
    return None if score is None else round(float(score), 1)
