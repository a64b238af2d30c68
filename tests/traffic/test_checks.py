from itertools import groupby

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uaitools.traffic.checks import CheckPolicy, CheckRecord, Verdict

NOW = 1000.0
policies = st.builds(
    CheckPolicy,
    interval=st.floats(0.25, 3600),
    jitter=st.floats(0, 1),
    rise=st.integers(1, 5),
    fall=st.integers(1, 5),
)


def verdict_of(results: list[bool], policy: CheckPolicy) -> Verdict:
    """The oracle: the last run of equal results that is long enough decides."""
    verdict = Verdict.UP
    for passed, run in groupby(results):
        if len(list(run)) >= (policy.rise if passed else policy.fall):
            verdict = Verdict.UP if passed else Verdict.DOWN
    return verdict


@given(policies, st.lists(st.booleans(), max_size=60))
@settings(deadline=None, max_examples=300)
def test_fall_failures_in_a_row_are_down_and_rise_passes_in_a_row_are_up(
    policy: CheckPolicy, results: list[bool]
) -> None:
    record = CheckRecord(policy, NOW)
    before = Verdict.UP
    for count, passed in enumerate(results, 1):
        changed = record.note("" if passed else "refused", policy, float(count))

        now = verdict_of(results[:count], policy)
        assert changed is (None if now is before else now)
        assert record.down is (now is Verdict.DOWN)
        assert (record.last, record.at) == ("" if passed else "refused", count)
        before = now
    assert (record.passes, record.failures) == (results.count(True), results.count(False))


def test_an_endpoint_that_was_not_checked_yet_is_up() -> None:
    record = CheckRecord(CheckPolicy(), NOW)

    assert (record.down, record.last) == (False, None)


def test_a_policy_that_changes_counts_from_the_next_result_on() -> None:
    record = CheckRecord(CheckPolicy(fall=5), NOW)
    for _ in range(3):
        assert record.note("refused", CheckPolicy(fall=5), NOW) is None

    assert record.note("refused", CheckPolicy(fall=2), NOW) is Verdict.DOWN


@given(policies, st.floats(0, 1, exclude_max=True))
def test_checks_vary_by_their_jitter_around_the_interval(
    policy: CheckPolicy, uniform: float
) -> None:
    record = CheckRecord(policy, NOW, lambda: uniform)
    spread = policy.interval * policy.jitter

    assert NOW <= record.due <= NOW + spread

    record.schedule(policy, NOW, lambda: uniform)
    assert record.due - NOW == pytest.approx(policy.interval + spread * (2 * uniform - 1), abs=1e-6)


def test_without_jitter_the_interval_is_exact_and_the_first_check_at_once() -> None:
    policy = CheckPolicy(interval=7, jitter=0)
    record = CheckRecord(policy, NOW)
    assert record.due == NOW

    record.schedule(policy, NOW)
    assert record.due == NOW + 7
