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
class Repeatable:
    """What a request allows.

    kept: its body is there to be sent again. replayable: it may be acted on twice.
    """

    kept: bool
    replayable: bool

    def may_repeat(self, *, unsent: bool) -> bool:
        """Whether it can be sent again without being acted on twice unduly."""
        return self.kept and (unsent or self.replayable)


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

    def refuses(self, status: int, asked: float | None, left: float) -> bool:
        """Whether an answer is not wanted, and worth asking again for.

        asked: seconds for which it asks to wait. left: seconds until the request has to be over.
        """
        if status not in self.statuses:
            return False
        return asked is None or (asked <= self.max_delay and asked < left)

    def repeats(self, sent: int, request: Repeatable, *, unsent: bool, elsewhere: bool) -> bool:
        """Whether a request that was sent `sent` times is sent once more, the budget aside.

        unsent: it surely never reached the endpoint; then it is sent again whatever it is, else
        only what may be acted on twice, and only elsewhere. elsewhere: another endpoint can take
        it, or this one has said when to ask it again.
        """
        return sent < self.tries and request.may_repeat(unsent=unsent) and (unsent or elsewhere)


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


def pause_before(
    retry: int, asked: float | None, uniform: Callable[[], float] = random.random
) -> float:
    """Seconds before retry number `retry`: those of `backoff`, unless an answer asked for some.

    Of those a fifth more at most, since who was told the same must not come at once.
    """
    return backoff(retry, uniform) if asked is None else asked * (1.0 + _SPREAD * uniform())
