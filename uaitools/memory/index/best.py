"""The nearest so far of vectors that come slice by slice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from uaitools.memory.index.port import Vector

NEVER: Final = -np.inf  # the score of what is not to be found
Rows = NDArray[np.intp]


class Best:
    """The `limit` rows with the highest scores among those offered."""

    __slots__ = ("_limit", "_rows", "_scores")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rows: Rows = np.empty(0, np.intp)
        self._scores: Vector = np.empty(0, np.float32)

    def __repr__(self) -> str:
        return f"<Best {len(self._rows)}/{self._limit}>"

    @property
    def rows(self) -> Rows:
        """The rows that are among the best so far, in no order."""
        return self._rows

    def offer(self, rows: Rows, scores: Vector) -> None:
        """Take the scores of more rows into account."""
        rows, scores = _top(rows, scores, self._limit)
        self._rows, self._scores = _top(
            np.concatenate((self._rows, rows)), np.concatenate((self._scores, scores)), self._limit
        )

    def __iter__(self) -> Iterator[tuple[int, float]]:
        """Rows and their scores, best first; of equals the row that came first."""
        for at in np.lexsort((self._rows, -self._scores)):
            if self._scores[at] > NEVER:
                yield int(self._rows[at]), float(self._scores[at])


def _top(rows: Rows, scores: Vector, limit: int) -> tuple[Rows, Vector]:
    if len(rows) <= limit:
        return rows, scores
    if limit < 1:
        return rows[:0], scores[:0]
    chosen = np.argpartition(scores, -limit)[-limit:]  # linear; sorting all would not be
    return rows[chosen], scores[chosen]
