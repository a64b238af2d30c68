"""What holds for every policy: who may be picked, and that weights and states reach it."""

from collections.abc import Collection, Sequence

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.traffic.balancing.members import (
    LATER,
    NOW,
    POLICIES,
    ROOM,
    counts,
    endpoint,
    endpoints,
    key,
)
from uaitools.traffic.balancing import BALANCERS, Ewma, LeastRequests, Random, make_balancer
from uaitools.traffic.breaker import Cause, CircuitBreaker, State
from uaitools.traffic.endpoint import Endpoint

WEAK = (Cause.RATIO, Cause.CHECK, Cause.REGISTRY)

every_policy = pytest.mark.parametrize("policy", POLICIES)


def test_every_policy_of_the_configuration_is_tested_here() -> None:
    assert set(POLICIES) == set(BALANCERS)


@every_policy
def test_a_policy_is_made_by_its_name_and_shows_itself(policy: str) -> None:
    members = endpoints(1, 2)
    balancer = make_balancer(policy, 3.0, members)

    assert type(balancer) is type(POLICIES[policy](()))
    assert repr(balancer).startswith(f"<{type(balancer).__name__}")
    assert "\n" not in repr(balancer)
    observing = {member.observer for member in members}
    assert observing == ({balancer} if isinstance(balancer, Ewma) else {None})


def test_only_ewma_is_told_of_answers_also_after_a_change_of_policy() -> None:
    members = endpoints(1, 1)
    make_balancer("ewma", 3.0, members)
    make_balancer("random", 3.0, members)

    assert [member.observer for member in members] == [None, None]


@every_policy
def test_without_endpoints_nothing_is_picked(policy: str) -> None:
    assert POLICIES[policy]([]).pick(NOW, (), key(1)) is None


@every_policy
def test_a_full_endpoint_is_passed_over(policy: str) -> None:
    a, b = endpoints(9, 1)
    balancer = POLICIES[policy]([a, b])
    a.in_flight = ROOM

    assert counts(balancer, 50) == {"B": 50}
    b.in_flight = ROOM
    assert balancer.pick(NOW, (), key(1)) is None


@every_policy
def test_a_changed_weight_counts_from_the_next_refresh(policy: str) -> None:
    a, b = endpoints(1, 1)
    balancer = POLICIES[policy]([a, b])
    a.weight = 19
    balancer.refresh()
    for member in (a, b):  # so that ewma has no reason of its own
        member.latency, member.latency_at = 0.1, NOW

    assert 0.9 < counts(balancer, 4000)["A"] / 4000 < 0.99

    a.weight, b.weight = 0, 3
    balancer.refresh()
    assert counts(balancer, 50) == {"B": 50}
    b.weight = 0
    balancer.refresh()
    assert balancer.pick(NOW, (), key(1)) is None


@every_policy
def test_a_backup_gets_nothing_while_a_primary_is_available(policy: str) -> None:
    a, b, c = endpoint("A"), endpoint("B", 1, Cause.CONNECT), endpoint("C", 9, backup=True)
    balancer = POLICIES[policy]([c, a, b])

    assert set(counts(balancer, 50)) == {"A"}
    a.in_flight = ROOM
    assert set(counts(balancer, 50)) == {"C"}
    a.in_flight = 0
    assert set(counts(balancer, 50)) == {"A"}


@every_policy
def test_a_backup_takes_the_retry_of_what_failed_at_the_only_primary(policy: str) -> None:
    a, b = endpoint("A"), endpoint("B", backup=True)
    balancer = POLICIES[policy]([a, b])

    assert balancer.pick(NOW, (a,), key(1)) is b
    assert balancer.pick(NOW, (a, b), key(1)) is a


@every_policy
def test_a_panic_readmits_primaries_only_when_no_backup_can_help(policy: str) -> None:
    a, b = endpoint("A", 1, Cause.CHECK), endpoint("B", 1, Cause.RATIO)
    c, d = endpoint("C", backup=True), endpoint("D", backup=True)
    balancer = POLICIES[policy]([a, b, c, d])

    assert set(counts(balancer, 50)) == {"C", "D"}, "good backups before bad primaries"
    c.breaker.eject(NOW, Cause.FAILURES, LATER)
    d.in_flight = ROOM
    assert set(counts(balancer, 50)) == {"A", "B"}, "then primaries in a panic"
    a.breaker.eject(NOW, Cause.FAILURES, LATER)
    b.breaker.eject(NOW, Cause.CONNECT, LATER)
    d.breaker.eject(NOW, Cause.CHECK, LATER)
    d.in_flight = 0
    assert set(counts(balancer, 50)) == {"D"}, "then backups in a panic"


@every_policy
def test_the_last_backups_get_what_no_other_can_take(policy: str) -> None:
    a, b = endpoint("A", 1, Cause.CONNECT), endpoint("B", backup=True)
    c = endpoint("C", 9, backup=True)
    c.last = True
    balancer = POLICIES[policy]([c, a, b])

    assert set(counts(balancer, 50)) == {"B"}
    b.in_flight = ROOM
    assert set(counts(balancer, 50)) == {"C"}


@every_policy
def test_a_backup_that_becomes_a_primary_counts_from_the_next_refresh(policy: str) -> None:
    a, b = endpoint("A"), endpoint("B", backup=True)
    balancer = POLICIES[policy]([a, b])
    a.backup, b.backup = True, False
    balancer.refresh()

    assert counts(balancer, 20) == {"B": 20}


@every_policy
def test_an_endpoint_that_ramps_up_gets_a_part_of_what_it_will_have(policy: str) -> None:
    a, b = endpoint("A"), endpoint("B", 1, Cause.CONNECT)
    balancer = POLICIES[policy]([a, b])
    b.breaker.success(b.breaker.admit(LATER), LATER)
    for member in (a, b):
        member.latency, member.latency_at = 0.1, LATER

    ramping = counts(balancer, 2000, LATER + 2)["B"]

    assert 0 < ramping < 0.6 * 1000, "a fifth of its weight"
    counts(balancer, 1, LATER + 20)
    assert b.healthy
    balancer.refresh()
    assert counts(balancer, 2000, LATER + 20)["B"] > 0.7 * 1000


# -- against an oracle --------------------------------------------------------------------------


def available(each: Endpoint, now: float) -> bool:
    """Whether an endpoint may be called without any panic, in the words of docs/http.md."""
    breaker = each.breaker
    lets_in = breaker.state in (State.HEALTHY, State.RAMPING) or (
        breaker.state is State.EJECTED and now >= breaker.until
    )
    return lets_in and each.weight > 0 and each.in_flight < each.max_requests


def readmissible(each: Endpoint, group: Sequence[Endpoint]) -> bool:
    out = [e for e in group if e.breaker.state in (State.EJECTED, State.PROBING)]
    return (
        len(out) > len(group) / 2
        and each.breaker.cause in WEAK
        and each.weight > 0
        and each.in_flight < each.max_requests
    )


def allowed(every: Sequence[Endpoint], now: float, tried: Collection[Endpoint]) -> set[Endpoint]:
    """Those one of which has to be picked; empty when the answer has to be None."""
    turns = [0 if not e.backup else 2 if e.last else 1 for e in every]
    groups = [[e for e, turn in zip(every, turns, strict=True) if turn == n] for n in range(3)]
    for excluded in (tried, ()):
        good = [{e for e in g if available(e, now) and e not in excluded} for g in groups]
        weak = [{e for e in g if readmissible(e, g) and e not in excluded} for g in groups]
        for first, second in zip(good, weak, strict=True):
            if first:
                return first | second
        for second in weak:
            if second:
                return second
    return set()


class Flipping(RuleBasedStateMachine):
    """Breakers, weights and calls in flight change in every way; each pick is checked."""

    policy = ""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.every: list[Endpoint] = []
        self.calls: list[tuple[Endpoint, int]] = []

    @initialize(shape=st.lists(st.tuples(st.integers(1, 9), st.booleans()), min_size=1, max_size=6))
    def begin(self, shape: list[tuple[int, bool]]) -> None:
        for number, (weight, backup) in enumerate(shape):
            made = Endpoint(f"e{number}", weight, CircuitBreaker(), 3, backup=backup)
            made.breaker.on_transition = lambda *_: self.changed()
            self.every.append(made)
        self.balancer = POLICIES[self.policy](self.every)

    def changed(self) -> None:
        self.balancer.refresh()

    def one(self, number: int) -> Endpoint:
        return self.every[number % len(self.every)]

    @rule(which=st.integers(0, 5), cause=st.sampled_from(Cause), seconds=st.integers(0, 30))
    def eject(self, which: int, cause: Cause, seconds: int) -> None:
        self.one(which).breaker.eject(self.now, cause, self.now + seconds)

    @rule(seconds=st.sampled_from((0.1, 3.0, 12.0)))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(which=st.integers(0, 5), weight=st.integers(0, 9))
    def weigh(self, which: int, weight: int) -> None:
        self.one(which).weight = weight
        self.balancer.refresh()

    @rule(which=st.integers(0, 5), backup=st.booleans(), last=st.booleans())
    def move(self, which: int, backup: bool, last: bool) -> None:
        self.one(which).backup = backup
        self.one(which).last = last
        self.balancer.refresh()

    @precondition(lambda self: self.calls)
    @rule(number=st.integers(0, 50), good=st.booleans(), seconds=st.floats(0, 5))
    def end(self, number: int, good: bool, seconds: float) -> None:
        called, ticket = self.calls.pop(number % len(self.calls))
        called.in_flight -= 1
        if isinstance(self.balancer, Ewma):
            self.balancer.observe(called, seconds, self.now, failed=not good)
        if good:
            called.breaker.success(ticket, self.now)
        else:
            called.breaker.failure(ticket, self.now)

    @rule(number=st.integers(0, 1000), tried=st.sets(st.integers(0, 5), max_size=3))
    def pick(self, number: int, tried: set[int]) -> None:
        before = tuple({self.one(n): None for n in tried})
        may = allowed(self.every, self.now, before)
        picked = self.balancer.pick(self.now, before, key(number))
        if picked is None:
            assert not may
            return
        assert picked in may
        picked.in_flight += 1
        self.calls.append((picked, picked.breaker.admit(self.now)))

    @invariant()
    def nobody_has_more_than_fits(self) -> None:
        assert all(e.in_flight <= e.max_requests for e in self.every)


@every_policy
def test_a_pick_is_always_among_those_the_oracle_allows(policy: str) -> None:
    class Machine(Flipping):
        pass

    Machine.policy = policy
    run_state_machine_as_test(
        Machine, settings=settings(max_examples=60, stateful_step_count=40, deadline=None)
    )


def test_a_number_next_to_one_still_draws_an_endpoint() -> None:
    def almost() -> float:
        return 1.0 - 2.0**-53

    members = endpoints(1, 1, 1)

    assert Random(members, almost).pick(NOW) is members[-1]
    assert LeastRequests(members, almost).pick(NOW) is members[-1]
    assert Ewma(members, 10.0, almost).pick(NOW) is members[-1]
