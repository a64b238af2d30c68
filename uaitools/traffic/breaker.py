"""The circuit breaker: one state machine that takes every kind of evidence about an endpoint.

    HEALTHY --failures, ratio, connect errors, check, registry--> EJECTED
    EJECTED --its time is up and no check holds it, one call admitted--> PROBING
    PROBING --success--> RAMPING      PROBING --failure--> EJECTED, longer
    RAMPING --ramp over--> HEALTHY    RAMPING --failure--> EJECTED, longer
    any     --drain--> DRAINED        DRAINED, EJECTED, PROBING --restore--> RAMPING

HEALTHY is the closed circuit, EJECTED the open one, PROBING half-open. Because passive outcomes,
active checks and the registry all speak to this one machine, they cannot disagree. Active checks
`hold` an endpoint for as long as they fail, on top of an ejection that calls have caused: neither
ends the other. DRAINED is an operator's word and no evidence: nothing but his restore changes it.
"""

from __future__ import annotations

import enum
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

NEVER: Final = float("inf")
_MARKS: Final = 10  # samples kept of the window; the ratio is exact to a tenth of it


class State(enum.Enum):
    """The breaker's states; the value is the word used in /api/status and in metrics."""

    HEALTHY = "healthy"
    EJECTED = "ejected"
    PROBING = "probing"
    RAMPING = "ramping"
    DRAINED = "drained"


# Looking a member up on its class costs as much as a function call.
_HEALTHY, _EJECTED, _PROBING, _RAMPING, _DRAINED = State


class Cause(enum.Enum):
    """Why an endpoint was ejected."""

    FAILURES = "consecutive failures"
    CONNECT = "connect errors"
    RATIO = "failure ratio"
    CHECK = "active check"
    REGISTRY = "registry"
    OPERATOR = "operator"


# The states without a share that end by themselves; a drained endpoint waits for its operator.
OUT: Final = frozenset((State.EJECTED, State.PROBING))
# In a panic these may be readmitted; an endpoint that failed call after call may not.
READMISSIBLE: Final = frozenset((Cause.RATIO, Cause.CHECK, Cause.REGISTRY))


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When to eject, and for how long.

    failures: consecutive ones. connect_errors: in a row. ratio: of failures among at least
    `minimum` outcomes of the last `window` seconds. eject: seconds of the first ejection,
    doubled for each one that follows, at most eject_max. ramp: seconds to full share.
    """

    failures: int = 5
    connect_errors: int = 3
    ratio: float = 0.5
    window: float = 10.0
    minimum: int = 20
    eject: float = 10.0
    eject_max: float = 300.0
    ramp: float = 10.0


Transition = Callable[["CircuitBreaker", State, State], None]


class CircuitBreaker:
    """The health of one endpoint.

    Ask `share(now)` whether calls may go, `admit(now)` before each call, and report its end with
    `success`, `failure` or `abandon`, passing the ticket that `admit` gave: the outcome of a
    call that began before an ejection says nothing about the time after it and is ignored.
    `ticket` is the one in force, which `admit` returns as it is while the state is HEALTHY.
    `on_transition(breaker, old, new)` is told of every change of state.
    """

    __slots__ = (
        "_connect_errors",
        "_consecutive",
        "_ejections",
        "_late_failures",
        "_late_successes",
        "_mark_due",
        "_marks",
        "_penalty",
        "_policy",
        "_random",
        "_resumes",
        "_since",
        "cause",
        "failures",
        "held",
        "on_transition",
        "state",
        "successes",
        "ticket",
        "until",
    )

    def __init__(
        self,
        policy: BreakerPolicy | None = None,
        on_transition: Transition | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._policy = policy or BreakerPolicy()
        self.on_transition = on_transition
        self._random = jitter
        self.state = _HEALTHY
        self.cause: Cause | None = None
        self.until = NEVER  # when an ejection ends
        self.held = False  # by active checks, until `release`
        self._resumes = NEVER  # when the ejection would end if it were not held
        self.successes = 0
        self.failures = 0
        self._consecutive = 0
        self._connect_errors = 0
        self._ejections = 0
        self._penalty = 0.0  # seconds of the last ejection
        self._since = -NEVER  # when the present state began
        self.ticket = 0
        self._late_successes = 0  # outcomes of calls from before an ejection: counted, not judged
        self._late_failures = 0
        self._mark_due = -NEVER
        self._marks: deque[tuple[float, int, int]] = deque(maxlen=_MARKS)

    def __repr__(self) -> str:
        return (
            f"<CircuitBreaker {self.state.value} successes={self.successes} "
            f"failures={self.failures} ejections={self._ejections}>"
        )

    @property
    def policy(self) -> BreakerPolicy:
        """The rules in force; setting new ones keeps the state."""
        return self._policy

    @policy.setter
    def policy(self, policy: BreakerPolicy) -> None:
        self._policy = policy

    def share(self, now: float) -> float:
        """The part of its weight that the endpoint may get: 0 none, 1 all.

        An ejected endpoint whose time is up gets 1, for one call: the probe.
        """
        if self.state is _HEALTHY:
            return 1.0
        if self.state is _EJECTED:
            return 1.0 if now >= self.until else 0.0
        if self.state is _PROBING or self.state is _DRAINED:
            return 0.0
        ramped = (now - self._since) / self._policy.ramp if self._policy.ramp > 0 else 1.0
        if ramped >= 1.0:
            self._enter(_HEALTHY, now)
            return 1.0
        return max(ramped, 0.05)  # else the first moments of a ramp would admit nobody

    def admit(self, now: float) -> int:
        """Count a call in and return its ticket; the first after an ejection is the probe."""
        if self.state is _EJECTED and now >= self.until:
            self.ticket += 1
            self._enter(_PROBING, now)
            return self.ticket
        # What a panic lets in beside the probe must not be taken for it.
        return self.ticket - 1 if self.state is _PROBING else self.ticket

    def success(self, ticket: int, now: float) -> None:
        """A call ended well."""
        if now >= self._mark_due:
            self._mark(now)
        self.successes += 1
        if ticket != self.ticket:
            self._late_successes += 1
            return
        self._consecutive = 0
        self._connect_errors = 0
        if self.state is _PROBING:
            self._enter(_RAMPING, now)

    def failure(
        self, ticket: int, now: float, *, connect: bool = False, last: bool = False
    ) -> None:
        """A call failed.

        connect: no connection could be made. last: no other endpoint is available, so that a
        bad ratio alone must not take this one out as well.
        """
        if now >= self._mark_due:
            self._mark(now)
        self.failures += 1
        if ticket != self.ticket:
            self._late_failures += 1
            return
        if self.state is _EJECTED or self.state is _DRAINED:
            return
        self._consecutive += 1
        self._connect_errors = self._connect_errors + 1 if connect else 0
        policy = self._policy
        if self.state is not _HEALTHY:
            self.eject(now, self._cause_of_relapse(connect=connect))
        elif self._connect_errors >= policy.connect_errors:
            self.eject(now, Cause.CONNECT)
        elif self._consecutive >= policy.failures:
            self.eject(now, Cause.FAILURES)
        elif not last and self._ratio_exceeded(now):
            self.eject(now, Cause.RATIO)

    def abandon(self, ticket: int, now: float) -> None:
        """A call ended without saying anything (its client left); a probe may be sent again."""
        if self.state is _PROBING and ticket == self.ticket:
            self.ticket += 1
            self.until = now
            self._enter(_EJECTED, now)

    def eject(self, now: float, cause: Cause, until: float | None = None) -> None:
        """Take the endpoint out, until the given time or for the policy's next longer one.

        Without effect on one that is drained.
        """
        if self.state is _DRAINED:
            return
        if self.state is _HEALTHY and now - self._since >= self._penalty:
            self._ejections = 0  # forgiven: it was healthy for as long as it had been out
        if until is None:
            policy = self._policy
            doubled = policy.eject * 2.0 ** min(self._ejections, 30)
            # Jitter keeps many gateways from probing in step.
            self._penalty = min(doubled * (0.9 + 0.2 * self._random()), policy.eject_max)
            until = now + self._penalty
        self._ejections += 1
        self.ticket += 1
        self._consecutive = 0
        self._connect_errors = 0
        self.cause = cause
        self._resumes = until
        self.until = NEVER if self.held else until
        self._enter(_EJECTED, now)

    def hold(self, now: float) -> None:
        """Take the endpoint out until `release`: its active checks fail."""
        if self.held:
            return
        self.held = True
        if self.state is _DRAINED:
            self._resumes = now
            return
        if self.state is not _EJECTED:
            self.eject(now, Cause.CHECK, until=now)
            return
        self._resumes = self.until
        self.until = NEVER
        if self.cause in READMISSIBLE:
            self.cause = Cause.CHECK  # else what its calls have shown weighs more

    def release(self, now: float) -> None:
        """Active checks pass again: the next call is the probe, unless calls keep it out longer."""
        if self.held:
            self.held = False
            if self.state is _EJECTED:
                self.until = max(now, self._resumes)

    def _cause_of_relapse(self, *, connect: bool) -> Cause:
        """Why it is taken out that had just come back: by a call's evidence, not by a check's."""
        if self.cause is None or self.cause is Cause.CHECK:
            return Cause.CONNECT if connect else Cause.FAILURES
        return self.cause

    def drain(self, now: float) -> None:
        """Let no call begin until `restore`; those under way end as they do, and are not judged."""
        self.ticket += 1
        self.cause = Cause.OPERATOR
        self.until = NEVER
        self._enter(_DRAINED, now)

    def restore(self, now: float) -> None:
        """Bring an endpoint that is out back, through the ramp and with its past forgotten.

        One whose active checks fail stays out until they pass.
        """
        if self.state is _HEALTHY or self.state is _RAMPING:
            return
        self.ticket += 1
        self._ejections = 0
        self._penalty = 0.0
        self._consecutive = 0
        self._connect_errors = 0
        self.until = NEVER
        if self.held:
            # No operator can say that an endpoint passes its checks.
            self._resumes = now
            self.cause = Cause.CHECK
            self._enter(_EJECTED, now)
            return
        self.cause = None
        self._enter(_RAMPING, now)

    def _enter(self, state: State, now: float) -> None:
        old = self.state
        self.state = state
        self._since = now
        if state is _HEALTHY:
            self.cause = None
            self.until = NEVER
            self._marks.clear()  # the ratio is of calls while healthy
            self._mark_due = -NEVER
        if self.on_transition is not None and old is not state:
            self.on_transition(self, old, state)

    def _mark(self, now: float) -> None:
        successes = self.successes - self._late_successes
        self._marks.append((now, successes, self.failures - self._late_failures))
        self._mark_due = now + self._policy.window / _MARKS

    def _ratio_exceeded(self, now: float) -> bool:
        horizon = now - self._policy.window
        while self._marks and self._marks[0][0] < horizon:
            self._marks.popleft()
        if not self._marks:
            return False
        _, successes, failures = self._marks[0]
        failed = self.failures - self._late_failures - failures
        outcomes = failed + self.successes - self._late_successes - successes
        return outcomes >= self._policy.minimum and failed >= self._policy.ratio * outcomes
