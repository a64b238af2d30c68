"""The checks of all instances that this registry follows: run when due, told when they change.

10,000 instances with a check every 10 s make 1,000 checks a second. To schedule, begin and judge
them takes 3.1 % of a core, 31 us a check, most of it the worker's task (uvloop, Python 3.11, checks
that answer at once); to follow an instance takes 11 us. Making a check takes more: over HTTP 440 us
in all, by TCP 100, mostly for the new connection.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from functools import lru_cache, partial
from time import monotonic
from typing import Final

import aiohttp

from uaitools.log import get_logger
from uaitools.registry.checks.answer import Answer
from uaitools.registry.checks.ask import ask
from uaitools.registry.checks.finding import Finding
from uaitools.registry.checks.schedule import Pace, Schedule
from uaitools.registry.checks.session import check_session
from uaitools.registry.evidence import Word
from uaitools.registry.model import Check, Instance
from uaitools.tasks import QueueFull, WorkerPool, spawn
from uaitools.traffic.checks import CheckPolicy, CheckRecord

WORKERS: Final = 64
TICK: Final = 0.02  # seconds between two looks at the schedule at least
STOP: Final = 5.0  # seconds for what is cancelled to end
PAUSED: Final = 1.0  # seconds beyond its time limit that show that we were stopped, not the peer

Tell = Callable[[Instance, int, Word, str], None]
Ask = Callable[[Check, Instance, aiohttp.ClientSession], Awaitable[Answer]]

_log = get_logger(__name__)


class Checker:
    """Checks the instances it follows, at most `workers` at once, with one timer for all.

    tell: called in the loop with the instance, the number of its check, what that says now, and
    why, so that "the http check" and the reason make a sentence. Only changes are told, beginning
    with the first word that is not NOTHING. workers: an instance that does not answer keeps one
    for its whole time limit; when all of N instances are to be given up in time, it takes
    N * timeout / interval of them. tls: how certificates are verified, see `check_session`.
    asking: what makes one check.

    While all workers are taken, what is due stays in the schedule, the longest due first: its
    size is the bound of the queue, one entry a check. `late` shows how far behind they are.
    """

    __slots__ = (
        "_asking",
        "_followed",
        "_look_at",
        "_pace",
        "_pool",
        "_schedule",
        "_session",
        "_task",
        "_tell",
        "_timer",
        "_tls",
        "_workers",
    )

    def __init__(
        self,
        tell: Tell,
        workers: int = WORKERS,
        *,
        tls: ssl.SSLContext | None = None,
        asking: Ask = ask,
    ) -> None:
        self._tell = tell
        self._workers = workers
        self._tls = tls
        self._asking = asking
        self._followed: dict[str, tuple[int, tuple[_Probe, ...]]] = {}
        self._schedule: Schedule[_Probe] = Schedule()
        self._pace = Pace()
        self._pool: WorkerPool | None = None  # while it runs, and the session too
        self._session: aiohttp.ClientSession | None = None
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._look_at = 0.0

    def __repr__(self) -> str:
        return f"<Checker instances={len(self._followed)} pool={self._pool!r}>"

    # -- whom to check ----------------------------------------------------------------------

    def follow(self, instance: Instance) -> None:
        """Check an instance from now on, in place of an earlier registration of its id.

        The same generation again changes nothing.
        """
        known = self._followed.get(instance.id)
        if known is not None and known[0] == instance.generation:
            return
        self.forget(instance.id)
        now = monotonic()
        probes = tuple(_Probe(instance, number, now) for number in range(len(instance.checks)))
        self._followed[instance.id] = (instance.generation, probes)
        for probe in probes:
            self._put(probe, self._pace.first(probe.policy.interval, now))
        self._arm(now)

    def forget(self, name: str) -> None:
        """Check the instance with that id no more; what a check under way finds is dropped."""
        _, probes = self._followed.pop(name, (0, ()))
        for probe in probes:
            probe.gone = True
            self._schedule.drop(probe)
            if probe.under_way is not None:
                probe.under_way.cancel()

    def upcoming(self, name: str) -> list[tuple[float, str]]:
        """In how many seconds which checks of an instance are made, those under way at once."""
        now = monotonic()
        _, probes = self._followed.get(name, (0, ()))
        return [(max(0.0, probe.due - now), probe.upcoming) for probe in probes]

    @property
    def late(self) -> float:
        """Seconds for which the check that has waited longest is due."""
        soonest = self._schedule.soonest()
        return 0.0 if soonest is None else max(monotonic() - soonest[0], 0.0)

    # -- its life ---------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to check. Needs a running loop."""
        assert self._task is None, "it has been started"
        self._task = spawn(self._run(), name="registry checks")

    async def stop(self) -> None:
        """Cancel everything that is under way, within STOP seconds. It may be started again."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        _, pending = await asyncio.wait((task,), timeout=STOP)
        if pending:
            _log.error("checks that were cancelled do not end", seconds=STOP)

    async def _run(self) -> None:
        """Have the pool and the session open until cancelled; the timer does the rest."""
        # The schedule is the queue, so the pool has none: see the class.
        pool = WorkerPool(self._workers, 0, name="registry checks")
        async with check_session(self._tls) as session, pool:
            self._session, self._pool = session, pool
            try:
                self._look()
                await asyncio.Event().wait()
            finally:
                self._pool = None
                if self._timer is not None:
                    self._timer.cancel()
                    self._timer = None

    def _put(self, probe: _Probe, due: float) -> None:
        probe.due = due
        self._schedule.set(probe, due)

    # -- one timer for all ------------------------------------------------------------------

    def _arm(self, now: float) -> None:
        """Look again when the first check is due, at most once a TICK."""
        soonest = self._schedule.soonest()
        if self._pool is None or soonest is None:
            return
        look_at = max(soonest[0], now + TICK)
        if self._timer is not None:
            if self._look_at <= look_at:
                return
            self._timer.cancel()
        self._look_at = look_at
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(look_at - now, self._look)

    def _look(self) -> None:
        """Begin what is due, as far as there are workers."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = monotonic()
        while (soonest := self._schedule.soonest()) is not None and soonest[0] <= now:
            if not self._begin(soonest[1]):
                break
        self._arm(now)

    def _begin(self, probe: _Probe) -> bool:
        """Have a worker make a check; whether there was one."""
        if self._pool is None:
            return False
        try:
            probe.under_way = self._pool.try_submit(self._make, probe)
        except QueueFull:
            return False
        self._schedule.drop(probe)
        probe.under_way.add_done_callback(partial(self._made, probe))
        return True

    async def _make(self, probe: _Probe) -> Answer | None:
        """Make a check; None when that says nothing of the instance."""
        assert self._session is not None
        began = monotonic()
        try:
            answer = await self._asking(probe.check, probe.instance, self._session)
        except Exception:
            # A bug here must not leave the instance unchecked for ever.
            _log.exception("a check failed by itself", instance=probe.instance.id)
            answer = Answer("the check itself failed; see the log")
        # A process that was stopped (SIGSTOP, a machine that slept) finds all time limits over.
        paused = monotonic() - began > probe.policy.timeout + PAUSED
        return None if answer.failure and paused else answer

    # -- what they find ---------------------------------------------------------------------

    def _made(self, probe: _Probe, future: asyncio.Future[Answer | None]) -> None:
        """A check has ended, and its worker is free."""
        probe.under_way = None
        now = monotonic()
        # It ends without an answer when its instance is forgotten or this checker stopped.
        ended = not future.cancelled() and future.exception() is None
        answer = future.result() if ended else None
        if not probe.gone:
            # What says nothing is made anew at once.
            self._put(probe, now if answer is None else probe.next(now))
            if answer is not None:
                self._conclude(probe, answer, now)
        soonest = self._schedule.soonest()
        if soonest is not None and soonest[0] <= now:
            self._look()  # somebody has waited for this worker
        else:
            self._arm(now)

    def _conclude(self, probe: _Probe, answer: Answer, now: float) -> None:
        said = probe.finding.note(answer, probe.policy, now)
        if said is None:
            return
        try:
            self._tell(probe.instance, probe.number, said.word, said.reason)
        except Exception:
            _log.exception("what a check says was not taken", instance=probe.instance.id)


class _Probe:
    """One check of an instance. due: when it is made next. under_way: its answer to be."""

    __slots__ = (
        "check",
        "due",
        "finding",
        "gone",
        "instance",
        "number",
        "policy",
        "under_way",
    )

    def __init__(self, instance: Instance, number: int, now: float) -> None:
        self.instance = instance
        self.number = number
        self.check = instance.checks[number]
        self.policy = _policy(self.check)
        self.finding = Finding(CheckRecord(self.policy, now))
        self.under_way: asyncio.Future[Answer | None] | None = None
        self.gone = False  # forgotten or replaced
        self.due = now

    def __repr__(self) -> str:
        return f"<_Probe {self.instance.id} {self.check.kind} {self.finding!r}>"

    @property
    def upcoming(self) -> str:
        """That it is made, and what it may turn."""
        record, policy = self.finding.record, self.policy
        said = f"the {self.check.kind} check is made"
        if not record.against:
            return said
        if record.down:
            return f"{said}, after {record.against} of {policy.rise} that passed"
        return f"{said}, after {record.against} of {policy.fall} that failed"

    def next(self, now: float) -> float:
        """When it is due after one that has ended now."""
        self.finding.record.schedule(self.policy, now)
        return self.finding.record.due


@lru_cache(maxsize=1024)
def _policy(check: Check) -> CheckPolicy:
    """One policy for the many instances whose checks are alike."""
    return CheckPolicy(check.interval, check.timeout, check.jitter, check.rise, check.fall)
