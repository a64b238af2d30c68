"""The tries of one call: where each goes, how long it may take, and whether another follows.

As in the gateway: what surely never left is sent again whatever it is; after a timeout, a reset or
an answer that says "not now" only what may be acted on twice, and to another instance where there
is one; out of a budget, within the call's time, and never once the answer has begun.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic, time
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import aiohttp
from aiohttp import hdrs

from uaitools.registry.client.calls.attempt import Attempt
from uaitools.registry.client.calls.failure import (
    CONNECT_TIMEOUT,
    DEADLINE,
    MOVED,
    QUEUE_TIMEOUT,
    STATUS,
    TIMEOUT,
    Failure,
    failure_of,
)
from uaitools.registry.client.calls.pool import PROGRESS
from uaitools.traffic.retry import Repeatable, pause_before
from uaitools.traffic.retry_after import seconds_asked

if TYPE_CHECKING:
    from multidict import MultiMapping

    from uaitools.registry.client.calls.policy import CallPolicy
    from uaitools.registry.client.calls.roster import Roster
    from uaitools.traffic.endpoint import Endpoint

# Timers are set a moment after the clock is read: "as long as" is nearly as long.
_NEARLY: Final = 0.9

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """An answer's head, whatever carries it. drop: let go of it, it is not wanted."""

    status: int
    headers: MultiMapping[str]
    value: T
    drop: Callable[[], None]


Send = Callable[[Attempt, float], Awaitable[Answer[T]]]
"""Sends a call for one try; it has the given seconds until its answer is complete."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a call allows. due: when it has to be over, monotonic.

    replayable: it may be acted on twice. repeatable: its body can be sent again.
    """

    due: float
    replayable: bool
    repeatable: bool

    @property
    def request(self) -> Repeatable:
        """As retries go by it."""
        return Repeatable(kept=self.repeatable, replayable=self.replayable)


class Tries(Generic[T]):
    """One call on its way."""

    __slots__ = ("_cause", "_policy", "_replayed", "_roster", "_send", "_terms", "_tried")

    def __init__(self, roster: Roster, policy: CallPolicy, terms: Terms, send: Send[T]) -> None:
        self._roster = roster
        self._policy = policy
        self._terms = terms
        self._send = send
        self._tried: tuple[Endpoint, ...] = ()
        self._replayed = False
        self._cause: BaseException | None = None

    def __repr__(self) -> str:
        return f"<Tries {self._roster.name} tried={len(self._tried)} {self._terms!r}>"

    async def run(self) -> tuple[Answer[T], Attempt]:
        """The answer to keep, and the try that got it, which the caller ends.

        Raises ServiceError when there is none: 502, 503 or 504.
        """
        self._roster.requests += 1
        while True:
            now = monotonic()
            if now >= self._terms.due:
                raise DEADLINE.error(self._roster.name) from self._cause
            endpoint = self._roster.pick(now, self._tried)
            if self._tried:
                self._roster.retries += 1
            attempt = Attempt(self._roster, endpoint, now, timed=self._terms.repeatable)
            answer = await self._at(attempt)
            if answer is None:
                continue
            if isinstance(answer, Answer):
                return answer, attempt
            self._tried += (endpoint,)
            await asyncio.sleep(answer)

    async def _at(self, attempt: Attempt) -> Answer[T] | float | None:
        """Try there: the answer, or the seconds until another try. Raises ServiceError.

        None when it has not come to a try, since the instance takes nothing new any more.
        """
        while True:
            outcome = await self._outcome(attempt)
            now = monotonic()
            if isinstance(outcome, Answer):
                pause = self._unwanted(outcome, attempt, now)
                attempt.answered(outcome.status, now)
                if pause is None:
                    return outcome
                outcome.drop()
                attempt.completed(now)
                return pause
            if outcome is MOVED:
                attempt.release(now)
                return None
            again = self._terms.request.may_repeat(unsent=outcome.before_write)
            if outcome.stale and again and not self._replayed:
                # Free and once: the instance closed an idle connection as we used it.
                self._replayed = True
                attempt.again()
                continue
            self._report(outcome, attempt, now)
            if outcome is DEADLINE or not self._may_try_again(outcome, attempt, now):
                raise outcome.error(self._roster.name) from self._cause
            return pause_before(len(self._tried), None)

    async def _outcome(self, attempt: Attempt) -> Answer[T] | Failure:
        now = monotonic()
        left = self._terms.due - now
        limit = min(left, self._patience(attempt, left, now))
        token, moved = PROGRESS.set(attempt), False

        def move() -> None:
            nonlocal moved
            moved = True
            timer.reschedule(asyncio.get_running_loop().time())

        try:
            async with asyncio.timeout(None if limit == math.inf else limit) as timer:
                attempt.wait(move)
                return await self._send(attempt, left)
        except aiohttp.ClientError as error:
            failure = failure_of(error, attempt)
            if failure is None:
                attempt.release(monotonic())
                raise
            self._cause = error
            return failure
        except TimeoutError as error:
            if moved:
                return MOVED
            self._cause = error
            return DEADLINE if limit >= left else _slow(attempt)
        except asyncio.CancelledError:
            attempt.cancelled(monotonic())
            raise
        except BaseException:
            attempt.release(monotonic())
            raise
        finally:
            attempt.found()
            PROGRESS.reset(token)

    def _patience(self, attempt: Attempt, left: float, now: float) -> float:
        """Seconds that this try waits for its answer: all there are if it is the last one."""
        terms = self._terms
        again = terms.replayable and terms.repeatable and self._tries_left
        if not again or not self._roster.has_other((*self._tried, attempt.endpoint), now):
            return left
        first_byte = self._policy.first_byte
        return left / 2 if first_byte is None else first_byte

    def _report(self, failure: Failure, attempt: Attempt, now: float) -> None:
        """Tell the breaker, if the instance is to blame.

        Callers do not decide it: one that waits for a millisecond must not take instances out.
        """
        innocent = failure.ours or failure.stale
        if isinstance(self._cause, TimeoutError):
            fair = self._policy.fair if attempt.sent else self._policy.connect
            innocent = innocent or attempt.waited(now) < _NEARLY * fair
        if innocent:
            attempt.release(now)
        else:
            attempt.failed(now, connecting=failure.connecting)

    @property
    def _tries_left(self) -> bool:
        return len(self._tried) + 1 < self._policy.retry.tries

    def _may_try_again(
        self, failure: Failure, attempt: Attempt, now: float, *, invited: bool = False
    ) -> bool:
        """Whether to send again. invited: the instance has said when to ask it once more."""
        roster = self._roster
        return self._policy.retry.repeats(
            len(self._tried) + 1,
            self._terms.request,
            unsent=failure.before_write,
            elsewhere=invited or roster.has_other((*self._tried, attempt.endpoint), now),
        ) and roster.budget.take(now, roster.requests)

    def _unwanted(self, answer: Answer[T], attempt: Attempt, now: float) -> float | None:
        """Seconds after which to ask again instead of keeping the answer; None to keep it."""
        retry = self._policy.retry
        asked = _asked(answer) if retry.respect_retry_after else None
        if not retry.refuses(answer.status, asked, self._terms.due - now):
            return None
        if not self._may_try_again(STATUS, attempt, now, invited=asked is not None):
            return None
        return pause_before(len(self._tried), asked)


def _slow(attempt: Attempt) -> Failure:
    """Which failure it is that a try took too long."""
    if attempt.sent:
        return TIMEOUT
    return CONNECT_TIMEOUT if attempt.connecting else QUEUE_TIMEOUT


def _asked(answer: Answer[T]) -> float | None:
    """The seconds that an answer's Retry-After asks for; of several the longest."""
    values = answer.headers.getall(hdrs.RETRY_AFTER, ())
    waits = [seconds_asked(value.encode("utf-8", "replace"), time()) for value in values]
    return max((wait for wait in waits if wait is not None), default=None)
