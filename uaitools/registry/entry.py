"""One registered instance as the table keeps it: what its witnesses say, and what follows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, assert_never

from uaitools.registry.events import Beat, Checked, Drain, Maintain, Observed, Silence
from uaitools.registry.evidence import HEALTHY, Damper, Judgement, State, Testimony, Word, judge
from uaitools.registry.model import Instance, Load

HISTORY: Final = 32  # changes of state that are remembered
OBSERVED: Final = 30.0  # seconds for which proxies' word is good
LOOK: Final = 5.0  # seconds after which a protected one is looked at again
FORGOTTEN: Final = 86_400.0  # seconds of silence after which one in maintenance is removed


@dataclass(frozen=True, slots=True)
class Moment:
    """A change of state. at: when, in the table's time."""

    at: float
    state: State
    cause: str


@dataclass(frozen=True, slots=True)
class Sight:
    """What proxies have seen of an instance. until: when it says nothing any more."""

    word: Word
    reason: str
    until: float


NOTHING_SEEN: Final = Sight(Word.NOTHING, "", 0.0)
Happening = Beat | Silence | Checked | Observed | Maintain | Drain
_NOT_YET: Final = "has not passed yet"


class Entry:
    """The state of one registration. Times are the table's.

    registered_as: what it said of itself; `instance` is that with what an operator has changed
    since. registered: when. heard: None before the first heartbeat, False once it is silent.
    heard_at: when that began. said: what each of its checks says. told: whether heartbeats tell its
    load, None before the first; it was last told at loaded_at, and was so at some time after
    sampled_at. since: when `state` began. maintenance: why it is taken out, or None. drained_by:
    until when a drain is waited for, None when it does not drain. bad_since: when all who know
    something began to say bad, None while they do not. protected: why that is not held against it,
    '' if it is. due: when the table looks at it next. revision, revised: of its service, at which
    it became what it is, and when.
    """

    __slots__ = (
        "bad_since",
        "cause",
        "damper",
        "drained_by",
        "due",
        "heard",
        "heard_at",
        "history",
        "instance",
        "load",
        "loaded_at",
        "maintenance",
        "protected",
        "registered",
        "registered_as",
        "revised",
        "revision",
        "said",
        "sampled_at",
        "sight",
        "since",
        "state",
        "told",
    )

    def __init__(self, instance: Instance, now: float) -> None:
        self.instance = instance
        self.registered_as = instance
        self.registered = now
        self.heard: bool | None = None
        self.heard_at = now
        self.load = Load()
        self.loaded_at = self.sampled_at = now
        self.told: bool | None = None
        self.said = [Testimony(Word.NOTHING, _NOT_YET) for _ in instance.checks]
        self.sight = NOTHING_SEEN
        self.maintenance: str | None = None
        self.drained_by: float | None = None
        self.bad_since: float | None = None
        self.protected = ""
        self.due: float | None = None
        self.revision = 0
        self.revised = now
        self.damper = Damper()
        self.state = State.STARTING
        self.cause = "registered"
        self.since = now
        self.history = [Moment(now, self.state, self.cause)]

    def __repr__(self) -> str:
        return f"<Entry {self.instance.name}/{self.instance.id} {self.state}>"

    def follow(self, earlier: Entry, now: float) -> None:
        """Take the place of an earlier registration of the same id.

        An operator's word stands, and going to and fro by restarting is going to and fro.
        """
        self.history = earlier.history
        self._note(now, State.STARTING, "registered anew")
        self.damper = earlier.damper
        self.maintenance = earlier.maintenance
        if earlier.state in HEALTHY:
            self.damper.fall(now)

    # -- what witnesses say -----------------------------------------------------------------

    def happen(self, event: Happening, now: float) -> None:
        """Somebody has said something about it; `settle` draws the conclusion."""
        match event:
            case Beat(load=load):
                self.hear(heard=True, now=now)
                if load is None:
                    self.told = self.told or False
                else:
                    # One that may have been under way for long says nothing of this moment, but
                    # the one after it was made when this one had been answered.
                    self.load, self.told = load, True
                    self.sampled_at, self.loaded_at = self.loaded_at, now
            case Silence(protected=protected):
                self.hear(heard=False, now=now)
                self.protected = protected
            case Checked(number=number, word=word, reason=reason):
                self.said[number] = Testimony(word, reason)
            case Observed(word=word, reason=reason):
                self.sight = Sight(word, reason, now + OBSERVED)
            case Maintain(reason=why):
                self.maintenance = why
            case Drain(within=within):
                if self.drained_by is None:
                    # Nothing said before counts; asked for again, it only has another deadline.
                    self.loaded_at = self.sampled_at = 0.0
                self.drained_by = None if within is None else now + within
            case _:
                assert_never(event)

    @property
    def bad(self) -> bool:
        """Whether all who know something say bad, protected or not, and nobody has taken it out."""
        return self.bad_since is not None and self.maintenance is None

    @property
    def drains(self) -> bool:
        """Whether somebody wants it to stop, be it in maintenance or not."""
        return self.drained_by is not None

    def in_flight(self, settled: float, now: float) -> int | None:
        """Requests under way; 0 for one that never says.

        settled: the moment from which on nobody sends it anything new. None while it drains and
        has not said since then what it has to do, or may be about to say so for the first time.
        """
        if not self.drains:
            return self.load.in_flight
        if not self.told:
            early = self.told is None and now < self.registered + self.instance.ttl
            return None if early else 0
        return self.load.in_flight if self.sampled_at >= settled else None

    def hear(self, *, heard: bool, now: float) -> None:
        """It lives, or has fallen silent."""
        if self.heard is not heard:
            self.heard = heard
            self.heard_at = now

    def testimonies(self, now: float) -> list[Testimony]:
        """What all who may know something say."""
        found = [
            Testimony(said.word, f"the {check.kind} check {said.reason}")
            for check, said in zip(self.instance.checks, self.said, strict=True)
        ]
        if not self.instance.ttl and not self.instance.checks:
            found.append(Testimony(Word.GOOD, "it is taken at its word"))
        if self.heard is False:
            found.append(Testimony(Word.BAD, f"no heartbeat for {self.instance.ttl:g} s"))
        elif self.heard:
            found.append(Testimony(Word.GOOD, "heartbeats come"))
        if now < self.sight.until:
            found.append(Testimony(self.sight.word, f"proxies see {self.sight.reason}"))
        return found

    # -- what follows -----------------------------------------------------------------------

    def judgement(self, now: float) -> Judgement:
        """The state as of now."""
        if self.maintenance is not None:
            return Judgement(State.MAINTENANCE, self.maintenance)
        if self.drained_by is not None:
            return Judgement(State.DRAINING, "it is being drained")
        found = judge(self.testimonies(now))
        if found.state is State.CRITICAL and self.protected:
            return Judgement(State.SUSPECT, f"{found.cause}; {self.protected}")
        if found.state in HEALTHY and self.damper.damped(now):
            return Judgement(State.SUSPECT, f"it goes to and fro; {found.cause}")
        return found

    def settle(self, now: float) -> bool:
        """Take on the state that follows; whether it is another one."""
        if judge(self.testimonies(now)).state is not State.CRITICAL:
            self.bad_since, self.protected = None, ""
        elif self.bad_since is None:
            self.bad_since = now
        found = self.judgement(now)
        self.cause = found.cause
        if found.state is self.state:
            return False
        if self.state in HEALTHY and found.state in (State.SUSPECT, State.CRITICAL):
            self.damper.fall(now)
        self.state = found.state
        self.since = now
        self._note(now, found.state, found.cause)
        return True

    def removed_at(self, removal: float) -> float | None:
        """When it is taken out of the list, if nothing happens; None if it is not.

        removal: seconds that an instance may be critical.
        """
        if self.state is State.CRITICAL:
            return self.since + removal
        if self.bad_since is not None and self.state is State.DRAINING:
            return self.bad_since + removal
        if self.heard is False and self.state is State.MAINTENANCE:
            return self.heard_at + FORGOTTEN
        return None

    def next_look(self, now: float, removal: float) -> float | None:
        """When time alone may change it next; None if it may not."""
        times = [self.sight.until, self.damper.until]
        if self.protected:
            times.append(now + LOOK)
        removed = self.removed_at(removal)
        if removed is not None:
            times.append(removed)
        return min((at for at in times if at > now), default=None)

    def _note(self, now: float, state: State, cause: str) -> None:
        self.history.append(Moment(now, state, cause))
        del self.history[:-HISTORY]
