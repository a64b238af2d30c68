"""What one that is registered says to the registry next, and when. Pure: `now` is monotonic.

Heartbeats come every third of the ttl, so that two may be lost. A full registration goes out every
minute as well, after a heartbeat that was understood: a registry that has forgotten who it was gets
it back, and nobody takes an id away from one who has registered it since. All pauses have jitter,
that of the first one is the largest: a fleet that has started together is never in step.
"""

from __future__ import annotations

import enum
import random
from collections.abc import Callable
from typing import Final

from uaitools.registry.client.backoff import Backoff
from uaitools.registry.client.timing import Timing

_BEATS: Final = 3  # heartbeats in one ttl
_SHORTEST: Final = 1.0  # seconds of a ttl
_LEAST: Final = 0.75  # of a pause, when jitter makes it short
_DRAINING: Final = 1.0  # seconds between heartbeats of one that is drained: somebody waits for them
_EARLY: Final = 0.01  # seconds by which a loop may wake who sleeps too early


class Step(enum.Enum):
    """What is to be said."""

    REGISTER = "register"
    HEARTBEAT = "heartbeat"


class Lease:
    """The state of a registration: the next step, and when it is due.

    generation: what the registry has given, None before the first time.
    """

    __slots__ = (
        "_backoff",
        "_draining",
        "_full",
        "_ttl",
        "_uniform",
        "due",
        "epoch",
        "generation",
        "step",
    )

    def __init__(
        self, now: float, timing: Timing, uniform: Callable[[], float] = random.random
    ) -> None:
        self.generation: int | None = None
        self.epoch = ""
        self.step = Step.REGISTER
        self.due = now
        self._ttl = 0.0
        self._full = now
        self._draining = False
        self._uniform = uniform
        self._backoff = Backoff(timing.cap, uniform=uniform)

    def __repr__(self) -> str:
        return f"<Lease generation={self.generation} next={self.step.value}>"

    def registered(self, generation: int, epoch: str, ttl: float, full: float, now: float) -> None:
        """The registry knows it now. full: seconds until all is to be said again."""
        news = (generation, epoch) != (self.generation, self.epoch)
        ttl = max(ttl, _SHORTEST) if ttl else 0.0  # whatever a registry says
        self.generation, self.epoch, self._ttl = generation, epoch, ttl
        self._full = now + full * self._jitter()
        self._wait(now, self._uniform() if news else self._jitter())

    def heard(self, epoch: str, now: float, *, draining: bool = False) -> None:
        """A heartbeat has been understood, by a registry of that epoch.

        draining: it wants to hear often how much is still under way.
        """
        if epoch != self.epoch or now + _EARLY >= self._full:
            self._now(Step.REGISTER, now)
        else:
            self._draining = draining
            self._wait(now, self._jitter())

    def forgotten(self, now: float) -> None:
        """The registry does not know it."""
        self._now(Step.REGISTER, now)

    def failed(self, now: float) -> None:
        """No registry has answered: the same again, soon and then later and later."""
        pause = self._backoff.failed()
        self.due = now + (min(pause, self._ttl / _BEATS) if self._ttl else pause)

    def refused(self, pause: float, now: float) -> None:
        """The registry will not do it, which time alone seldom mends."""
        self.due = now + pause * self._jitter()

    def _now(self, step: Step, now: float) -> None:
        self._backoff.succeeded()
        self.step, self.due = step, now

    def _wait(self, now: float, part: float) -> None:
        """The next heartbeat; where none are expected it goes before the next registration."""
        self._backoff.succeeded()
        self.step = Step.HEARTBEAT
        self.due = min(now + part * self._ttl / _BEATS, self._full) if self._ttl else self._full
        if self._draining:
            self.due = min(self.due, now + _DRAINING)

    def _jitter(self) -> float:
        return _LEAST + (1.0 - _LEAST) * self._uniform()
