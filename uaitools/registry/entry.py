"""One registered instance as the table keeps it: what its witnesses say, and what follows."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from uaitools.registry.evidence import Damper, Judgement, State, Testimony, Word, judge
from uaitools.registry.model import Check, Instance, Load
from uaitools.traffic.checks import CheckPolicy, CheckRecord

HISTORY: Final = 32  # changes of state that are remembered
OBSERVED: Final = 30.0  # seconds for which proxies' word is good
_HEALTHY: Final = frozenset((State.PASSING, State.DEGRADED))


@dataclass(frozen=True, slots=True)
class Moment:
    """A change of state. at: monotonic."""

    at: float
    state: State
    cause: str


class Probe:
    """One check of an instance, and what it has heard so far."""

    __slots__ = ("check", "policy", "record", "weak")

    def __init__(self, check: Check, now: float) -> None:
        self.check = check
        self.policy = CheckPolicy(
            check.interval, check.timeout, check.jitter, check.rise, check.fall
        )
        self.record = CheckRecord(self.policy, now)
        self.weak = False  # the last answer was 429

    def __repr__(self) -> str:
        return f"<Probe {self.check.kind} {self.record!r}>"

    def testimony(self) -> Testimony:
        """What this check says."""
        kind, record = self.check.kind, self.record
        if record.down:
            return Testimony(Word.BAD, f"the {kind} check fails: {record.last or 'it passed once'}")
        if not record.passes:
            return Testimony(Word.NOTHING, f"the {kind} check has not passed yet")
        if self.weak:
            return Testimony(Word.WEAK, f"the {kind} check is told to ask less")
        return Testimony(Word.GOOD, f"the {kind} check passes")


class Entry:
    """The state of one registration. Times are monotonic.

    registered: when. seen: the last heartbeat, None before the first. since: when `state` began.
    maintenance: why it is taken out, or None. drained_by: until when a drain is waited for, None
    when it does not drain. protected: why silence is not held against it, '' if it is. due: when
    the table looks at it next. revision: of its service, at which it became what it is.
    """

    __slots__ = (
        "_bad_until",
        "_damper",
        "_seen_bad",
        "cause",
        "drained_by",
        "due",
        "history",
        "instance",
        "load",
        "maintenance",
        "probes",
        "protected",
        "registered",
        "revision",
        "seen",
        "since",
        "state",
    )

    def __init__(self, instance: Instance, now: float) -> None:
        self.instance = instance
        self.registered = now
        self.seen: float | None = None
        self.load = Load()
        self.probes = [Probe(check, now) for check in instance.checks]
        self.maintenance: str | None = None
        self.drained_by: float | None = None
        self.protected = ""
        self.due: float | None = None
        self.revision = 0
        self._damper = Damper()
        self._bad_until = 0.0
        self._seen_bad = ""
        self.state = State.STARTING
        self.cause = "registered"
        self.since = now
        self.history: deque[Moment] = deque([Moment(now, self.state, self.cause)], HISTORY)

    def __repr__(self) -> str:
        return f"<Entry {self.instance.name}/{self.instance.id} {self.state}>"

    # -- what witnesses say -----------------------------------------------------------------

    def heard(self, now: float, load: Load | None) -> None:
        """A heartbeat has come."""
        self.seen = now
        self.protected = ""
        if load is not None:
            self.load = load

    def observed(self, reason: str, now: float) -> None:
        """Proxies have seen it fail; '' when they have seen it work."""
        self._seen_bad = reason
        self._bad_until = now + OBSERVED if reason else 0.0

    @property
    def expires(self) -> float | None:
        """When silence counts against it; None where no heartbeats are expected."""
        ttl = self.instance.ttl
        last = self.seen if self.seen is not None else self.registered
        return last + ttl if ttl else None

    def silent_for(self, now: float) -> float:
        """The part of its ttl for which nothing was heard; above 1 it has expired."""
        expires = self.expires
        return 0.0 if expires is None else 1.0 - (expires - now) / self.instance.ttl

    def testimonies(self, now: float) -> list[Testimony]:
        """What all who may know something say."""
        found = [probe.testimony() for probe in self.probes]
        expires = self.expires
        if expires is not None and now >= expires:
            found.append(Testimony(Word.BAD, f"no heartbeat for {self.instance.ttl:g} s"))
        elif expires is not None and self.seen is not None:
            found.append(Testimony(Word.GOOD, "heartbeats come"))
        if now < self._bad_until:
            found.append(Testimony(Word.BAD, f"proxies see {self._seen_bad}"))
        return found

    # -- what follows -----------------------------------------------------------------------

    def judgement(self, now: float) -> Judgement:
        """The state as of now, without the instance's standing at the moment."""
        if self.maintenance is not None:
            return Judgement(State.MAINTENANCE, self.maintenance)
        if self.drained_by is not None:
            return Judgement(State.DRAINING, "it is being drained")
        found = judge(self.testimonies(now))
        if found.state is State.CRITICAL and self.protected and now >= self._bad_until:
            return Judgement(State.SUSPECT, f"{found.cause}; {self.protected}")
        if found.state in _HEALTHY and self._damper.damped(now):
            return Judgement(State.SUSPECT, f"it goes to and fro; {found.cause}")
        return found

    def settle(self, now: float) -> bool:
        """Take on the state that follows; whether it is another one."""
        found = self.judgement(now)
        self.cause = found.cause
        if found.state is self.state:
            return False
        if self.state in _HEALTHY and found.state in (State.SUSPECT, State.CRITICAL):
            self._damper.fall(now)
            found = self.judgement(now)
        self.state = found.state
        self.since = now
        self.history.append(Moment(now, found.state, found.cause))
        return True

    def next_look(self, now: float, removal: float) -> float | None:
        """When time alone may change its state; None if it may not."""
        times = [self._bad_until] if now < self._bad_until else []
        expires = self.expires
        if expires is not None and expires > now:
            times.append(expires)
        if self.state is State.CRITICAL:
            times.append(self.since + removal)
        elif self.state is State.SUSPECT:
            times.append(now + 5.0)  # for a damped or protected one to be believed again
        if self.drained_by is not None and self.drained_by > now:
            times.append(self.drained_by)
        return min(times, default=None)
