"""How long to wait before the next attempt, when many who failed together come back. Pure."""

from __future__ import annotations

from typing import Final

_DOUBLINGS: Final = 30  # as many as lead beyond any bound; more would overflow


def full_jitter(failures: int, uniform: float, *, first: float, largest: float) -> float:
    """Seconds below a bound that doubles with each failure, from `first` up to `largest`.

    failures: before this attempt, without the first one. uniform: random, 0 to 1. Source: AWS
    Architecture Blog, "Exponential Backoff And Jitter".
    """
    return uniform * min(largest, first * 2.0 ** min(failures, _DOUBLINGS))
