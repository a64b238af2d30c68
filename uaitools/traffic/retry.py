"""Whether a failed call may be tried again, and after which pause.

Retries multiply load just when there is too much of it, so they are paid from a budget: a part
of the requests that really came, and at least a few a second so that a quiet service can retry.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_HORIZON: Final = 10.0  # seconds of requests that the budget remembers
_FLOOR: Final = 3.0  # retries a second that are always allowed
_BASE: Final = 0.025
_CAP: Final = 0.25
_SPREAD: Final = 0.2  # of a pause that was asked for; who was told the same must not come at once
# Answers that say "not now": 502 Bad Gateway, 503 Service Unavailable, 504 Gateway Timeout.
STATUSES: Final = frozenset((502, 503, 504))


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When and how often a request is sent again.

    tries: sends of one request at most, the first included. budget: retries per request.
    statuses: of answers after which it is. respect_retry_after: wait as long as such an answer
    asks, and where that is over max_delay seconds let it stand.
    """

    tries: int = 2
    budget: float = 0.2
    statuses: frozenset[int] = STATUSES
    respect_retry_after: bool = True
    max_delay: float = 2.0


class RetryBudget:
    """Tokens for retries of one service: `ratio` for each request, at least 3 a second.

    At most 30 are saved, 10 s of the floor, so that a long calm does not pay for a storm.
    """

    __slots__ = ("_at", "_requests", "_tokens", "ratio")

    def __init__(self, ratio: float, now: float) -> None:
        self.ratio = ratio
        self._at = now
        self._requests = 0
        self._tokens = _FLOOR

    def __repr__(self) -> str:
        return f"<RetryBudget tokens={self._tokens:.1f} ratio={self.ratio}>"

    def take(self, now: float, requests: int) -> bool:
        """Spend one token; False when there is none. requests: the service's running count."""
        self.refill(now, requests)
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def refill(self, now: float, requests: int) -> None:
        """Credit what has come since the last call; needed only so often as retries happen."""
        elapsed = now - self._at
        if elapsed <= 0.0:
            return
        credit = max(self.ratio * (requests - self._requests), _FLOOR * elapsed)
        if elapsed > _HORIZON:
            credit *= _HORIZON / elapsed
        self._tokens = min(self._tokens + credit, max(credit, _FLOOR * _HORIZON))
        self._at = now
        self._requests = requests


def backoff(retry: int, uniform: Callable[[], float] = random.random) -> float:
    """Seconds before retry number `retry` (from 0): full jitter over 25 ms doubled, capped.

    Full jitter: AWS Architecture Blog, "Exponential Backoff And Jitter".
    """
    return uniform() * min(_CAP, _BASE * 2.0 ** min(retry, 10))


def asked_pause(asked: float, uniform: Callable[[], float] = random.random) -> float:
    """Seconds before a retry that an upstream wants `asked` seconds later: up to a fifth more."""
    return asked * (1.0 + _SPREAD * uniform())
