"""How good a ranking is, and how sure of it one may be who has asked some questions only."""

from __future__ import annotations

import random
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass
from math import ceil, floor
from typing import Final, TypeVar

T = TypeVar("T", bound=Hashable)

RESAMPLES: Final = 2_000


def recall(found: Sequence[T], relevant: Collection[T], k: int) -> float:
    """The part of what is relevant that stands among the first k of what was found.

    Raises ValueError where nothing is relevant: such a question measures nothing.
    """
    wanted = _wanted(relevant)
    return len(wanted.intersection(found[:k])) / len(wanted)


def reciprocal_rank(found: Sequence[T], relevant: Collection[T]) -> float:
    """1 where the first that was found is relevant, 1/2 where the second is; 0 where none is.

    Its mean over questions is the MRR. Raises ValueError where nothing is relevant.
    """
    wanted = _wanted(relevant)
    for rank, one in enumerate(found, start=1):
        if one in wanted:
            return 1 / rank
    return 0.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over questions, and between what bounds that of other such questions may lie."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


def bootstrap(
    values: Sequence[float], *, seed: int, level: float = 0.95, resamples: int = RESAMPLES
) -> Estimate:
    """The mean of `values`, one a question, with its percentile bootstrap interval.

    The same seed gives the same interval. To compare two searches give the differences, question by
    question: what makes a question hard for both then cancels. Raises ValueError for no values.
    Source: Efron, Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.
    """
    if not values:
        raise ValueError("a mean is of one value at least")
    if not 0 < level < 1:
        raise ValueError("a level is between 0 and 1")
    drawn = random.Random(seed)  # noqa: S311 - the same again is what is wanted
    count = len(values)
    means = sorted(sum(drawn.choices(values, k=count)) / count for _ in range(resamples))
    tail = (1 - level) / 2
    low = means[floor(tail * (resamples - 1))]
    high = means[ceil((1 - tail) * (resamples - 1))]
    return Estimate(sum(values) / count, low, high)


def _wanted(relevant: Collection[T]) -> frozenset[T]:
    if not relevant:
        raise ValueError("a question has one relevant memory at least")
    return frozenset(relevant)
