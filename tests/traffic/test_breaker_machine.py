"""The breaker under any sequence of calls, outcomes, ejections and pauses."""

from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from uaitools.traffic.breaker import BreakerPolicy, Cause, CircuitBreaker, State

POLICY = BreakerPolicy(
    failures=3, connect_errors=2, ratio=0.5, window=10, minimum=4, eject=10, eject_max=40, ramp=10
)
ALLOWED = {
    (State.HEALTHY, State.EJECTED),
    (State.EJECTED, State.PROBING),
    (State.PROBING, State.RAMPING),
    (State.PROBING, State.EJECTED),
    (State.RAMPING, State.HEALTHY),
    (State.RAMPING, State.EJECTED),
}


@dataclass
class Call:
    """A call under way. era: the number of ejections when it began. probe: it was the probe."""

    ticket: int
    era: int
    probe: bool
    readmitted: bool


class Breaker(RuleBasedStateMachine):
    """What must hold of a breaker, whatever happens to its endpoint."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.circuit = CircuitBreaker(POLICY, self.changed, jitter=lambda: 0.5)
        self.calls: list[Call] = []
        self.era = 0
        self.run: list[bool] = []  # failures in a row of this era, True for a connect error
        self.length = 0.0  # of the last ejection that the policy timed
        self.doublings = 0
        self.healthy_since = 0.0
        self.timed_by_others = False
        self.shares: list[float] = []
        self.held = False
        self.back = 0.0  # when what is not held by checks may come back

    def changed(self, circuit: CircuitBreaker, old: State, new: State) -> None:
        assert circuit is self.circuit
        assert (old, new) in ALLOWED
        self.shares = []
        if new is State.HEALTHY:
            self.healthy_since = self.now
            self.run = []
        # A probe whose client left is due again at once: that is no ejection.
        if new is State.EJECTED and circuit.until > self.now:
            self.note_ejection(old)
            self.back = self.now if self.held else circuit.until

    def note_ejection(self, old: State) -> None:
        self.era += 1
        self.run = []
        if old is State.HEALTHY and self.now - self.healthy_since >= self.length:
            self.doublings = 0
        if not self.timed_by_others:
            self.length = min(POLICY.eject * 2**self.doublings, POLICY.eject_max)
            assert self.circuit.until - self.now == self.length
        self.doublings += 1

    @rule(seconds=st.sampled_from((0.0, 0.5, 1.0, 3.0, 10.0, 50.0)))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.circuit.state is State.EJECTED and not self.held)
    @rule()
    def the_ejection_ends(self) -> None:
        self.now = max(self.now, self.circuit.until)

    @rule(panic=st.booleans())
    def a_call_begins(self, panic: bool) -> None:
        share = self.circuit.share(self.now)
        if share <= 0 and not panic:
            return
        before = self.circuit.state
        ticket = self.circuit.admit(self.now)
        probe = before is State.EJECTED and self.circuit.state is State.PROBING
        assert probe == (before is State.EJECTED and share > 0)
        self.calls.append(Call(ticket, self.era, probe, share <= 0))

    @precondition(lambda self: self.calls)
    @rule(
        data=st.data(),
        outcome=st.sampled_from(("success", "failure", "connect", "abandon")),
        last=st.booleans(),
    )
    def a_call_ends(self, data: st.DataObject, outcome: str, last: bool) -> None:
        call = self.calls.pop(data.draw(st.integers(0, len(self.calls) - 1)))
        before = self.observed()
        era, state, run = self.era, self.circuit.state, self.run
        if outcome == "success":
            self.circuit.success(call.ticket, self.now)
        elif outcome == "abandon":
            self.circuit.abandon(call.ticket, self.now)
        else:
            connect = outcome == "connect"
            self.circuit.failure(call.ticket, self.now, connect=connect, last=last)
        if call.era < era or call.readmitted:
            assert self.observed() == before
            return
        if outcome == "abandon" and not call.probe:
            assert self.observed() == before
        elif state is State.HEALTHY and outcome != "abandon":
            self.judge_healthy(outcome, run, last=last)
        elif state is State.PROBING and call.probe:
            expected = State.RAMPING if outcome == "success" else State.EJECTED
            assert self.circuit.state is expected
            if expected is State.EJECTED and outcome != "abandon":
                assert self.circuit.cause is not Cause.CHECK, "it is calls that fail now"
        elif state is State.RAMPING and outcome in ("failure", "connect"):
            assert self.circuit.state is State.EJECTED

    def judge_healthy(self, outcome: str, run: list[bool], *, last: bool) -> None:
        """The verdict on an outcome, after the failures in a row of `run`."""
        if outcome == "success":
            self.run = []
            assert self.circuit.state is State.HEALTHY
            return
        run = [*run, outcome == "connect"]
        self.run = run if self.circuit.state is State.HEALTHY else []
        if run[-POLICY.connect_errors :] == [True] * POLICY.connect_errors:
            assert self.circuit.cause is Cause.CONNECT
        elif len(run) >= POLICY.failures:
            assert self.circuit.cause is Cause.FAILURES
        elif last:
            assert self.circuit.state is State.HEALTHY
        else:
            assert self.circuit.cause in (None, Cause.RATIO)

    @rule(cause=st.sampled_from((Cause.CHECK, Cause.REGISTRY)), seconds=st.integers(1, 30))
    @precondition(lambda self: self.circuit.state is State.HEALTHY)
    def others_eject_it(self, cause: Cause, seconds: int) -> None:
        self.timed_by_others = True
        self.circuit.eject(self.now, cause, self.now + seconds)
        self.timed_by_others = False
        assert self.circuit.cause is cause

    @rule()
    def checks_fail(self) -> None:
        before, cause, until = self.circuit.state, self.circuit.cause, self.circuit.until
        again = self.held
        if before is State.EJECTED and not again:
            self.back = until
        self.held = self.timed_by_others = True
        self.circuit.hold(self.now)
        self.timed_by_others = False
        if again:
            assert (self.circuit.state, self.circuit.cause) == (before, cause)
        elif before is State.EJECTED and cause in (Cause.FAILURES, Cause.CONNECT):
            assert self.circuit.cause is cause, "a panic must not let in what its calls took out"
        else:
            assert self.circuit.cause is Cause.CHECK

    @rule()
    def checks_pass(self) -> None:
        before = self.observed()
        held, self.held = self.held, False
        self.circuit.release(self.now)
        if held:
            assert self.circuit.state is State.EJECTED, "a call has to prove it"
            assert self.circuit.until == max(self.now, self.back), "no ejection ends earlier"
        else:
            assert self.observed() == before

    @precondition(lambda self: self.held)
    @rule(seconds=st.integers(1, 30))
    def calls_have_it_ejected_while_it_is_held(self, seconds: int) -> None:
        """As a panic's calls in another worker could."""
        self.circuit.eject(self.now, Cause.FAILURES, self.now + seconds)
        self.doublings += 1
        self.era += 1
        self.back = self.now + seconds

    def observed(self) -> tuple[object, ...]:
        """All that decides what happens next, as far as it shows."""
        circuit = self.circuit
        return (self.era, circuit.state, circuit.cause, circuit.until, circuit.ticket)

    @invariant()
    def probing_waits_for_exactly_one_call(self) -> None:
        probes = [call for call in self.calls if call.probe and call.ticket == self.circuit.ticket]
        others = [
            call for call in self.calls if not call.probe and call.ticket == self.circuit.ticket
        ]
        if self.circuit.state is State.PROBING:
            assert len(probes) == 1
            assert others == []
            assert self.circuit.share(self.now) == 0.0

    @invariant()
    def what_checks_hold_gets_no_call_and_no_probe(self) -> None:
        assert self.circuit.held is self.held
        if self.held:
            assert self.circuit.state is State.EJECTED
            assert self.circuit.share(self.now + 1e9) == 0.0

    @invariant()
    def a_cause_stands_exactly_while_it_is_not_healthy(self) -> None:
        assert (self.circuit.cause is None) == (self.circuit.state is State.HEALTHY)

    @invariant()
    def the_share_rises_while_it_ramps(self) -> None:
        state, share = self.circuit.state, self.circuit.share(self.now)
        assert 0.0 <= share <= 1.0
        if state is State.RAMPING:
            assert share > 0.0
            assert all(earlier <= share for earlier in self.shares)
            if self.circuit.state is State.RAMPING:
                self.shares.append(share)


TestBreaker = Breaker.TestCase
TestBreaker.settings = settings(deadline=None, max_examples=60, stateful_step_count=40)
