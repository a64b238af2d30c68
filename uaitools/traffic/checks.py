"""Active health checks: what their results mean for an endpoint, and when the next one is due.

One failure is no outage and one success no recovery: `fall` failures in a row are a verdict, and
`rise` successes in a row the contrary one. The verdict goes to the endpoint's breaker.
"""

from __future__ import annotations

import enum
import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CheckPolicy:
    """When an endpoint is checked, and when it counts as down or up.

    interval: seconds from the end of a check to the next. timeout: seconds that one may take.
    jitter: the part of the interval by which it varies, so that many checkers do not ask in step.
    rise, fall: successes and failures in a row that change the verdict.
    """

    interval: float = 5.0
    timeout: float = 2.0
    jitter: float = 0.2
    rise: int = 2
    fall: int = 3


class Verdict(enum.Enum):
    """What an endpoint turned into by its last check."""

    UP = "up"
    DOWN = "down"


class CheckRecord:
    """The checks of one endpoint. Not checked yet counts as up.

    due: when the next check begins, monotonic. running: one is under way. passes, failures: all
    so far. last: why the last one failed, empty if it passed, None before the first. at: when that
    was, unix seconds.
    """

    __slots__ = ("_run", "at", "down", "due", "failures", "last", "passes", "running")

    def __init__(
        self, policy: CheckPolicy, now: float, uniform: Callable[[], float] = random.random
    ) -> None:
        # Endpoints that appear together are checked soon, but not all at once.
        self.due = now + policy.interval * policy.jitter * uniform()
        self.running = False
        self.down = False
        self.passes = 0
        self.failures = 0
        self.last: str | None = None
        self.at = 0.0
        self._run = 0  # results in a row that speak against the verdict

    def __repr__(self) -> str:
        state = "down" if self.down else "up"
        return f"<CheckRecord {state} passes={self.passes} failures={self.failures}>"

    @property
    def against(self) -> int:
        """Results in a row that speak against the verdict."""
        return self._run

    def note(self, failure: str, policy: CheckPolicy, at: float) -> Verdict | None:
        """Count a result; the verdict if it changes. failure: why, empty for a pass."""
        self.last = failure
        self.at = at
        if failure:
            self.failures += 1
        else:
            self.passes += 1
        if bool(failure) == self.down:
            self._run = 0
            return None
        self._run += 1
        if self._run < (policy.rise if self.down else policy.fall):
            return None
        self._run = 0
        self.down = not self.down
        return Verdict.DOWN if self.down else Verdict.UP

    def schedule(
        self, policy: CheckPolicy, now: float, uniform: Callable[[], float] = random.random
    ) -> None:
        """Set when the next check is due, after one that ended now."""
        self.due = now + policy.interval * (1.0 + policy.jitter * (2.0 * uniform() - 1.0))
