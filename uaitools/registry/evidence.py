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


SERVED: Final = (State.PASSING, State.DEGRADED, State.SUSPECT)


class Word(enum.Enum):
    """What one witness says."""

    NOTHING = "nothing"
    GOOD = "good"
    WEAK = "weak"
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
    known = [one for one in witnesses if one.word is not Word.NOTHING]
    bad = [one.reason for one in known if one.word is Word.BAD]
    fine = [one.reason for one in known if one.word is not Word.BAD]
    if not known:
        return Judgement(State.STARTING, "nothing is known yet")
    if bad and fine:
        return Judgement(State.SUSPECT, f"{', '.join(bad)}, but {', '.join(fine)}")
    if bad:
        return Judgement(State.CRITICAL, ", ".join(bad))
    weak = [one.reason for one in known if one.word is Word.WEAK]
    if weak:
        return Judgement(State.DEGRADED, ", ".join(weak))
    return Judgement(State.PASSING, ", ".join(fine))


class Damper:
    """Hysteresis against flapping, after RFC 2439 (route flap damping).

    Each fall from a good state costs a penalty of 1, which halves every HALF_LIFE seconds. Above
    SUPPRESS the instance is damped, until the penalty is below REUSE.
    """

    HALF_LIFE: Final = 60.0
    SUPPRESS: Final = 2.5
    REUSE: Final = 1.0

    __slots__ = ("_at", "_damped", "_penalty")

    def __init__(self) -> None:
        self._penalty = 0.0
        self._at = 0.0
        self._damped = False

    def __repr__(self) -> str:
        return f"<Damper penalty={self._penalty:.2f} damped={self._damped}>"

    def fall(self, now: float) -> None:
        """The instance has left a good state."""
        self._penalty = self.penalty(now) + 1.0
        self._at = now
        if self._penalty > self.SUPPRESS:
            self._damped = True

    def penalty(self, now: float) -> float:
        """What is left of it."""
        return self._penalty * float(0.5 ** ((now - self._at) / self.HALF_LIFE))

    def damped(self, now: float) -> bool:
        """Whether a good state is not believed yet."""
        if self._damped and self.penalty(now) < self.REUSE:
            self._damped = False
        return self._damped
