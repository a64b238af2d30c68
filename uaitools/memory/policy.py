"""Which memories of a user are to be forgotten. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal, Self

Reason = Literal["age", "inactivity", "rank"]
DOUBLING: Final = timedelta(days=30)
"""Having been read twice as often makes up for so much more time unused."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Rules, by each of which a memory goes; one that is pinned never does.

    older_than: since it was made. unused_for: since it was last read or found, changed or made.
    keep_best: so many stay, of those that are not pinned. None: no such rule.

    The best have the highest log2(1 + access_count) - unused / DOUBLING, where unused is the time
    as above; of equal ones the newest, then that with the highest id. What was superseded comes
    after everything that holds. The order of two memories does not depend on when it is asked for.
    """

    older_than: timedelta | None = None
    unused_for: timedelta | None = None
    keep_best: int | None = None

    def reasons(self, age: timedelta, unused: timedelta, rank: int) -> list[Reason]:
        """By which rules a memory goes that is not pinned. rank: the best one's is 1."""
        said: Mapping[Reason, bool] = {
            "age": self.older_than is not None and age > self.older_than,
            "inactivity": self.unused_for is not None and unused > self.unused_for,
            "rank": self.keep_best is not None and rank > self.keep_best,
        }
        return [reason for reason, goes in said.items() if goes]

    @classmethod
    def of_days(cls, older: float | None, unused: float | None, best: int | None) -> Self:
        """A policy as operators and clients say it."""
        return cls(_days(older), _days(unused), best)


def _days(number: float | None) -> timedelta | None:
    return None if number is None else timedelta(days=number)
