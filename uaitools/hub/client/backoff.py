"""How long to wait before the next attempt. Pure.

Full jitter: AWS Architecture Blog, "Exponential Backoff And Jitter". A hub that restarts loses all
its connections at once; each of them comes back at a time of its own.
"""

from __future__ import annotations

from typing import Final

FIRST: Final = 0.5  # seconds: the bound before the first attempt
LARGEST: Final = 30.0
_DOUBLINGS: Final = 6  # as many as lead beyond the largest


def full_jitter(failures: int, uniform: float) -> float:
    """Seconds below a bound that doubles with each failure before. uniform: random, 0 to 1."""
    return uniform * min(LARGEST, FIRST * 2.0 ** min(failures, _DOUBLINGS))
