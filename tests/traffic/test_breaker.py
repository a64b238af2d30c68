from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uaitools.traffic.breaker import NEVER, BreakerPolicy, Cause, CircuitBreaker, State

NOW = 1000.0
POLICY = BreakerPolicy()
HEALTHY, EJECTED, PROBING, RAMPING, DRAINED = State


def breaker(policy: BreakerPolicy = POLICY) -> CircuitBreaker:
    """A breaker whose ejections last exactly what the policy says."""
    return CircuitBreaker(policy, jitter=lambda: 0.5)


def fail(circuit: CircuitBreaker, times: int, now: float = NOW, *, connect: bool = False) -> None:
    for _ in range(times):
        circuit.failure(circuit.admit(now), now, connect=connect)


def succeed(circuit: CircuitBreaker, times: int = 1, now: float = NOW) -> None:
    for _ in range(times):
        circuit.success(circuit.admit(now), now)


def probe(circuit: CircuitBreaker) -> tuple[int, float]:
    """The ticket of the probe that is due, and when it is."""
    return circuit.admit(circuit.until), circuit.until


# -- ejection -----------------------------------------------------------------------------------


def test_five_consecutive_failures_eject() -> None:
    circuit = breaker()

    fail(circuit, 4)
    assert circuit.state is HEALTHY
    fail(circuit, 1)

    assert (circuit.state, circuit.cause) == (EJECTED, Cause.FAILURES)
    assert circuit.share(NOW) == 0.0


def test_a_success_between_failures_breaks_the_run() -> None:
    circuit = breaker()

    for _ in range(10):
        fail(circuit, 1)
        succeed(circuit)

    assert circuit.state is HEALTHY


def test_three_connect_errors_in_a_row_eject() -> None:
    circuit = breaker()

    fail(circuit, 2, connect=True)
    fail(circuit, 1)
    fail(circuit, 1, connect=True)
    assert circuit.state is HEALTHY

    succeed(circuit)
    fail(circuit, 3, connect=True)
    assert (circuit.state, circuit.cause) == (EJECTED, Cause.CONNECT)


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 30), st.sampled_from((0.25, 0.5, 0.8)))
@settings(deadline=None, max_examples=200)
def test_the_ratio_ejects_exactly_when_enough_calls_of_the_window_failed(
    outcomes: list[bool], minimum: int, ratio: float
) -> None:
    circuit = breaker(BreakerPolicy(failures=1000, ratio=ratio, minimum=minimum))
    failed = 0

    for count, good in enumerate(outcomes, 1):
        failed += not good
        (succeed if good else fail)(circuit, 1)
        if not good and count >= minimum and failed >= ratio * count:
            assert (circuit.state, circuit.cause) == (EJECTED, Cause.RATIO)
            return
        assert circuit.state is HEALTHY


def test_what_is_older_than_the_window_counts_no_more() -> None:
    circuit = breaker(replace(POLICY, failures=1000))
    fail(circuit, 19)

    succeed(circuit, 1, NOW + POLICY.window + 1)
    fail(circuit, 10, NOW + POLICY.window + 1)

    assert circuit.state is HEALTHY


def test_calls_spread_over_the_window_count_together() -> None:
    circuit = breaker(replace(POLICY, failures=1000))

    for second in range(10):
        succeed(circuit, 1, NOW + second)
        fail(circuit, 1, NOW + second)

    assert (circuit.state, circuit.cause) == (EJECTED, Cause.RATIO)


def test_the_last_endpoint_is_never_ejected_by_ratio_alone() -> None:
    circuit = breaker(replace(POLICY, failures=1000))

    for _ in range(500):
        circuit.failure(circuit.ticket, NOW, last=True)

    assert circuit.state is HEALTHY


def test_the_last_endpoint_is_ejected_by_consecutive_failures() -> None:
    circuit = breaker()

    for _ in range(5):
        circuit.failure(circuit.ticket, NOW, last=True)

    assert circuit.cause is Cause.FAILURES


@pytest.mark.parametrize("cause", [Cause.CHECK, Cause.REGISTRY])
def test_checks_and_the_registry_eject_for_as_long_as_they_say(cause: Cause) -> None:
    circuit = breaker()

    circuit.eject(NOW, cause, NOW + 77)

    assert (circuit.state, circuit.cause, circuit.until) == (EJECTED, cause, NOW + 77)


def test_each_ejection_is_twice_as_long_up_to_the_limit() -> None:
    circuit = breaker()
    fail(circuit, 5)
    lengths = [circuit.until - NOW]

    for _ in range(7):
        ticket, now = probe(circuit)
        circuit.failure(ticket, now)
        lengths.append(circuit.until - now)

    assert lengths == [10, 20, 40, 80, 160, 300, 300, 300]


@given(st.floats(0, 1, exclude_max=True), st.integers(0, 40))
@settings(deadline=None)
def test_jitter_is_a_tenth_either_way_and_never_beyond_the_limit(
    jitter: float, failed_probes: int
) -> None:
    circuit = CircuitBreaker(POLICY, jitter=lambda: jitter)
    now = NOW
    fail(circuit, 5)

    for _ in range(failed_probes):
        ticket, now = probe(circuit)
        circuit.failure(ticket, now)

    doubled = 10.0 * 2**failed_probes
    length = circuit.until - now
    assert min(0.9 * doubled, 300) - 1e-6 <= length <= min(1.1 * doubled, 300) + 1e-6


def test_an_endpoint_that_was_healthy_for_as_long_as_it_was_out_is_forgiven() -> None:
    circuit = breaker(replace(POLICY, ramp=0))
    for healthy, length in ((0.0, 10), (1.0, 20), (19.0, 40), (40.0, 10)):
        since = NOW if circuit.until == NEVER else circuit.until
        if circuit.state is EJECTED:
            succeed(circuit, 1, since)
            assert circuit.share(since) == 1.0
        fail(circuit, 5, since + healthy)

        assert circuit.until - (since + healthy) == length


# -- the way back -------------------------------------------------------------------------------


def test_exactly_one_call_is_the_probe() -> None:
    circuit = breaker()
    fail(circuit, 5)

    assert circuit.share(circuit.until - 0.001) == 0.0
    assert circuit.share(circuit.until) == 1.0
    _, now = probe(circuit)

    assert circuit.state is PROBING
    assert circuit.share(now + 1000) == 0.0


def test_a_good_probe_begins_a_ramp_to_the_full_share() -> None:
    circuit = breaker()
    fail(circuit, 5)
    ticket, now = probe(circuit)

    circuit.success(ticket, now)

    shares = [circuit.share(now + second) for second in (0, 0.1, 1, 5, 9.9)]
    assert circuit.state is RAMPING
    assert shares == pytest.approx([0.05, 0.05, 0.1, 0.5, 0.99])
    assert circuit.share(now + 10) == 1.0
    assert (circuit.state, circuit.cause, circuit.until) == (HEALTHY, None, NEVER)


def test_without_a_ramp_a_good_probe_is_enough() -> None:
    circuit = breaker(replace(POLICY, ramp=0))
    fail(circuit, 5)
    ticket, now = probe(circuit)

    circuit.success(ticket, now)

    assert circuit.share(now) == 1.0
    assert circuit.state is HEALTHY


@pytest.mark.parametrize("after", [0.0, 9.0])
def test_one_failure_within_the_ramp_ejects_for_longer(after: float) -> None:
    circuit = breaker()
    fail(circuit, 5)
    ticket, now = probe(circuit)
    circuit.success(ticket, now)

    fail(circuit, 1, now + after)

    assert circuit.state is EJECTED
    assert circuit.until - (now + after) == 20


def test_a_probe_whose_client_left_is_sent_again_at_once_and_costs_nothing() -> None:
    circuit = breaker()
    fail(circuit, 5)
    ticket, now = probe(circuit)

    circuit.abandon(ticket, now)
    assert circuit.share(now) == 1.0

    second, _ = probe(circuit)
    circuit.failure(ticket, now)  # the first one's
    assert circuit.state is PROBING
    circuit.failure(second, now)
    assert circuit.until - now == 20


def test_a_call_that_is_abandoned_while_healthy_says_nothing() -> None:
    circuit = breaker()

    circuit.abandon(circuit.admit(NOW), NOW)

    assert circuit.state is HEALTHY


# -- outcomes that come late --------------------------------------------------------------------


def test_outcomes_of_calls_from_before_an_ejection_are_counted_and_ignored() -> None:
    circuit = breaker()
    old = circuit.admit(NOW)
    fail(circuit, 5)
    ticket, now = probe(circuit)

    circuit.success(old, now)
    circuit.failure(old, now)
    circuit.abandon(old, now)
    assert circuit.state is PROBING

    circuit.success(ticket, now)
    circuit.failure(old, now)
    assert circuit.state is RAMPING
    assert (circuit.successes, circuit.failures) == (2, 7)


def test_outcomes_of_calls_from_before_an_ejection_do_not_count_in_the_ratio() -> None:
    circuit = breaker(replace(POLICY, ramp=0))
    old = circuit.admit(NOW)
    fail(circuit, 5)
    ticket, now = probe(circuit)
    circuit.success(ticket, now)
    assert circuit.share(now) == 1.0

    succeed(circuit, 1, now)
    for _ in range(100):
        circuit.failure(old, now)
    fail(circuit, 1, now)

    assert circuit.state is HEALTHY


def test_calls_from_before_the_endpoint_was_healthy_again_do_not_count_in_the_ratio() -> None:
    circuit = breaker(replace(POLICY, failures=1000, ramp=0))
    circuit.eject(NOW, Cause.RATIO, NOW + 1)
    fail(circuit, 100)  # let in by a panic
    succeed(circuit, 1, NOW + 1)
    assert circuit.share(NOW + 1) == 1.0

    fail(circuit, 19, NOW + 1)
    assert circuit.state is HEALTHY

    fail(circuit, 1, NOW + 1)
    assert circuit.cause is Cause.RATIO


def test_a_call_that_a_panic_lets_in_beside_the_probe_is_not_taken_for_it() -> None:
    circuit = breaker()
    circuit.eject(NOW, Cause.RATIO)
    ticket, now = probe(circuit)
    beside = circuit.admit(now)

    circuit.failure(beside, now)
    circuit.success(beside, now)
    circuit.abandon(beside, now)
    assert circuit.state is PROBING

    circuit.success(ticket, now)
    assert circuit.state is RAMPING


def test_calls_that_a_panic_lets_in_do_not_lengthen_the_ejection() -> None:
    circuit = breaker()
    circuit.eject(NOW, Cause.RATIO)

    fail(circuit, 20, NOW + 1)

    assert (circuit.state, circuit.until) == (EJECTED, NOW + 10)


# -- transitions and rules ----------------------------------------------------------------------


def test_every_change_of_state_is_told_once() -> None:
    told: list[tuple[State, State]] = []
    circuit = breaker()
    circuit.on_transition = lambda _, old, new: told.append((old, new))

    fail(circuit, 5)
    ticket, now = probe(circuit)
    circuit.failure(ticket, now)
    ticket, now = probe(circuit)
    circuit.success(ticket, now)
    circuit.share(now + 10)

    assert told == [
        (HEALTHY, EJECTED),
        (EJECTED, PROBING),
        (PROBING, EJECTED),
        (EJECTED, PROBING),
        (PROBING, RAMPING),
        (RAMPING, HEALTHY),
    ]


def test_new_rules_keep_the_state() -> None:
    circuit = breaker()
    fail(circuit, 4)

    circuit.policy = replace(POLICY, failures=6)
    fail(circuit, 1)
    assert circuit.state is HEALTHY

    fail(circuit, 1)
    assert circuit.state is EJECTED


def test_the_repr_shows_state_and_counts() -> None:
    circuit = breaker()
    succeed(circuit, 3)
    fail(circuit, 5)

    assert repr(circuit) == "<CircuitBreaker ejected successes=3 failures=5 ejections=1>"


# -- held by active checks ------------------------------------------------------------------


def held() -> CircuitBreaker:
    circuit = breaker(BreakerPolicy(failures=1))
    circuit.hold(NOW)
    return circuit


def test_what_checks_hold_is_out_until_they_pass_and_then_probed() -> None:
    circuit = held()
    assert (circuit.state, circuit.cause) == (State.EJECTED, Cause.CHECK)
    assert circuit.share(NOW + 1e6) == 0

    circuit.release(NOW + 1)

    assert circuit.share(NOW + 1) == 1
    ticket = circuit.admit(NOW + 1)
    assert circuit.share(NOW + 1) == 0, "one call, no more"
    circuit.success(ticket, NOW + 1)
    assert circuit.state is State.RAMPING


def test_good_checks_do_not_end_an_ejection_that_calls_have_caused() -> None:
    circuit = breaker(BreakerPolicy(failures=1))
    circuit.failure(circuit.admit(NOW), NOW)
    until = circuit.until
    circuit.release(NOW + 1)
    assert circuit.until == until

    circuit.hold(NOW + 2)
    circuit.release(NOW + 3)
    assert circuit.until == until


def test_checks_that_fail_keep_what_calls_have_ejected_out_beyond_its_time() -> None:
    circuit = breaker(BreakerPolicy(failures=1))
    circuit.failure(circuit.admit(NOW), NOW)
    circuit.hold(NOW + 1)

    assert circuit.share(NOW + 3600) == 0
    assert circuit.cause is Cause.FAILURES, "a panic must not let it in"

    circuit.release(NOW + 3600)
    assert circuit.share(NOW + 3600) == 1


def test_a_probe_that_fails_after_good_checks_is_its_calls_fault() -> None:
    for connect, cause in ((False, Cause.FAILURES), (True, Cause.CONNECT)):
        circuit = held()
        circuit.release(NOW)
        circuit.failure(circuit.admit(NOW), NOW, connect=connect)

        assert (circuit.state, circuit.cause) == (State.EJECTED, cause)
        assert NOW < circuit.until < NOW + 60


def test_checks_that_fail_take_the_probe_back() -> None:
    circuit = held()
    circuit.release(NOW)
    ticket = circuit.admit(NOW)
    circuit.hold(NOW)
    circuit.success(ticket, NOW)

    assert circuit.state is State.EJECTED
    assert circuit.share(NOW + 3600) == 0


# -- an operator's orders -----------------------------------------------------------------------


def test_a_drained_endpoint_has_no_share_and_no_evidence_changes_that() -> None:
    circuit = breaker()
    ticket = circuit.admit(NOW)
    circuit.drain(NOW)

    circuit.failure(ticket, NOW)
    fail(circuit, 10)
    succeed(circuit)
    circuit.eject(NOW, Cause.CHECK)
    circuit.abandon(circuit.admit(NOW), NOW)

    assert (circuit.state, circuit.cause) == (DRAINED, Cause.OPERATOR)
    assert circuit.share(NOW + 1e9) == 0.0
    assert circuit.failures == 11, "they are counted"


@pytest.mark.parametrize("state", [DRAINED, EJECTED, PROBING])
def test_restore_brings_an_endpoint_back_through_the_ramp_and_forgets_its_past(
    state: State,
) -> None:
    circuit = breaker()
    if state is DRAINED:
        circuit.drain(NOW)
    else:
        fail(circuit, 5)
        circuit.eject(NOW, Cause.FAILURES)
        if state is PROBING:
            probe(circuit)
    assert circuit.state is state

    circuit.restore(NOW)

    assert (circuit.state, circuit.cause) == (RAMPING, None)
    assert 0.0 < circuit.share(NOW) < 0.1
    assert circuit.share(NOW + POLICY.ramp) == 1.0
    assert circuit.state is HEALTHY
    fail(circuit, 5, NOW + 11)
    assert circuit.until == NOW + 11 + POLICY.eject, "as the first ejection"


def test_restore_leaves_alone_what_is_in() -> None:
    circuit = breaker()
    circuit.restore(NOW)
    assert circuit.state is HEALTHY


def test_a_late_outcome_from_before_a_drain_says_nothing_after_its_end() -> None:
    circuit = breaker()
    ticket = circuit.admit(NOW)
    circuit.drain(NOW)
    circuit.restore(NOW)

    circuit.failure(ticket, NOW)

    assert circuit.state is RAMPING
