"""What was found by words and by meaning, as one list. Pure.

The candidates are those of both lists. Each part of a score is 0 to 1 by itself, whatever else was
found: the words as a part of what one memory could have of them, less where that tells little, the
meaning as a cosine. A score means therefore the same in every search, and `min_score` as well.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import UUID

Mode = Literal["hybrid", "lexical", "vector"]
WEIGHTS: Final[Mapping[Mode, tuple[float, float]]] = {
    "hybrid": (0.5, 0.5),
    "lexical": (1.0, 0.0),
    "vector": (0.0, 1.0),
}
"""Of words and of meaning."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a memory was found by. recency: what its age leaves of the sum of the others."""

    id: UUID
    lexical: float
    vector: float
    matched: Sequence[str] = ()
    recency: float = 1.0
    score: float = 0.0


def fused(
    lexical: Mapping[UUID, tuple[float, Sequence[str]]], vector: Mapping[UUID, float], mode: Mode
) -> list[Candidate]:
    """The candidates of both lists, with the sum of their parts; best first.

    Of equal ones that which came first in its list, and by words before by meaning.
    """
    by_words, by_meaning = WEIGHTS[mode]
    found = []
    for name in {**lexical, **vector}:
        words, matched = lexical.get(name, (0.0, ()))
        meaning = max(0.0, vector.get(name, 0.0))
        score = by_words * words + by_meaning * meaning
        found.append(Candidate(name, words, meaning, matched, score=score))
    return sorted(found, key=_order)


def aged(
    candidates: Sequence[Candidate],
    created: Mapping[UUID, datetime],
    now: datetime,
    half_life: timedelta | None,
) -> list[Candidate]:
    """The candidates by what is left of their scores: half after each half-life."""
    if half_life is None:
        return list(candidates)
    aged = []
    for one in candidates:
        age = max(0.0, (now - created[one.id]) / half_life)
        left = math.exp2(-age)
        score = one.score * left
        aged.append(Candidate(one.id, one.lexical, one.vector, one.matched, left, score))
    return sorted(aged, key=_order)


def _order(one: Candidate) -> float:
    return -one.score
