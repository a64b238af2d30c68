"""What is known of an instance, and which state follows from it. Pure: no clock, no I/O.

Three witnesses speak of an instance, and none is believed alone against the others:

    heartbeats   its own word, good for one `ttl`
    checks       what the registry hears when it asks
    traffic      what proxies saw of the requests that they sent

When all who know something agree, that is the state; when they do not, it is suspect: still
served, but last. An instance that goes to and fro is suspect as well until it has been quiet.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from math import log2
from typing import Final


class State(enum.StrEnum):
    """How an instance is, in the words of the API."""

    STARTING = "starting"  # nobody has said anything yet
    PASSING = "passing"
    DEGRADED = "degraded"  # it works, and asks for less: checks answered 429
    SUSPECT = "suspect"  # the witnesses disagree, or it flaps: served last
    CRITICAL = "critical"  # not served; removed when it stays so
    DRAINING = "draining"  # gets nothing new, finishes what it has
    MAINTENANCE = "maintenance"  # taken out by an operator


HEALTHY: Final = (State.PASSING, State.DEGRADED)
SERVED: Final = (*HEALTHY, State.SUSPECT)


class Word(enum.Enum):
    """What one witness says."""

    NOTHING = "nothing"
    GOOD = "good"
    WEAK = "weak"
    DOUBTFUL = "doubtful"  # bad, but perhaps rather our own fault
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Testimony:
    """A witness's word, and in which words to explain it."""

    word: Word
    reason: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """A state and why."""

    state: State
    cause: str


def judge(witnesses: Iterable[Testimony]) -> Judgement:
    """The state that follows from what all witnesses say."""
    reasons: dict[Word, list[str]] = {word: [] for word in Word}
    for one in witnesses:
        reasons[one.word].append(one.reason)
    bad, doubtful, weak = reasons[Word.BAD], reasons[Word.DOUBTFUL], reasons[Word.WEAK]
    fine = weak + reasons[Word.GOOD]
    if fine and (bad or doubtful):
        return Judgement(State.SUSPECT, f"{', '.join(bad + doubtful)}, but {', '.join(fine)}")
    if bad:
        return Judgement(State.CRITICAL, ", ".join(bad + doubtful))
    if doubtful:
        return Judgement(State.SUSPECT, ", ".join(doubtful))
    if weak:
        return Judgement(State.DEGRADED, ", ".join(weak))
    if fine:
        return Judgement(State.PASSING, ", ".join(fine))
    return Judgement(State.STARTING, "nothing is known yet")


class Damper:
    """Hysteresis against flapping, after RFC 2439 (route flap damping).

    Each fall from a good state costs a penalty of 1, which halves every HALF_LIFE seconds. Above
    SUPPRESS the instance is damped, until the penalty is below REUSE. until: when that is; 0 when
    it is not damped.
    """

    HALF_LIFE: Final = 60.0
    SUPPRESS: Final = 2.5
    REUSE: Final = 1.0

    __slots__ = ("at", "until", "value")

    def __init__(self, value: float = 0.0, at: float = 0.0, until: float = 0.0) -> None:
        self.value = value  # the penalty at `at`
        self.at = at
        self.until = until

    def __repr__(self) -> str:
        return f"<Damper penalty={self.value:.2f} until={self.until:.0f}>"

    def fall(self, now: float) -> None:
        """The instance has left a good state."""
        self.value = self.value * 0.5 ** ((now - self.at) / self.HALF_LIFE) + 1.0
        self.at = now
        if self.value > self.SUPPRESS or now < self.until:
            self.until = now + self.HALF_LIFE * log2(self.value / self.REUSE)

    def damped(self, now: float) -> bool:
        """Whether a good state is not believed yet."""
        return now < self.until
