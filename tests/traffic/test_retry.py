import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uaitools.traffic.retry import RetryBudget, asked_pause, backoff

NOW = 1000.0
SAVED = 30  # retries that a calm leaves at most: 10 s of 3 a second
STEPS = st.lists(
    st.tuples(
        st.sampled_from((0.001, 0.1, 1.0, 7.0, 60.0)),  # seconds since the last step
        st.sampled_from((0, 1, 10, 500)),  # requests meanwhile
        st.sampled_from((1, 5, 400)),  # retries wanted now
    ),
    max_size=30,
)


def granted(budget: RetryBudget, wanted: int, now: float, requests: int) -> int:
    return sum(budget.take(now, requests) for _ in range(wanted))


def test_a_quiet_service_has_three_retries_a_second() -> None:
    budget = RetryBudget(0.2, NOW)

    assert [granted(budget, 10, NOW + second, 0) for second in range(5)] == [3, 3, 3, 3, 3]


def test_a_busy_service_has_a_fifth_of_its_requests() -> None:
    budget = RetryBudget(0.2, NOW)

    each_second = [granted(budget, 5000, NOW + i, 1000 * i) for i in range(5)]

    assert each_second == [3, 200, 200, 200, 200]


def test_a_calm_is_saved_for_ten_seconds_at_most() -> None:
    budget = RetryBudget(0.2, NOW)

    assert granted(budget, 1000, NOW + 3600, 0) == SAVED


def test_long_business_pays_for_ten_seconds_of_it_at_most() -> None:
    budget = RetryBudget(0.2, NOW)

    assert granted(budget, 10**6, NOW + 3600, 3600 * 100) == 200  # 10 s x 100/s x 0.2


def test_without_a_ratio_the_floor_is_left() -> None:
    budget = RetryBudget(0.0, NOW)

    assert granted(budget, 10, NOW + 1, 10**6) == 6


@given(STEPS)
@settings(deadline=None, max_examples=200)
def test_no_stretch_of_time_gets_more_than_its_share_and_what_was_saved(
    steps: list[tuple[float, int, int]],
) -> None:
    """At most 20 % of the requests or 3 a second, of 10 s at most, and 10 s worth saved before."""
    budget, now, requests = RetryBudget(0.2, NOW), NOW, 0
    seen: list[tuple[float, int]] = []  # what each step is worth, and what it was granted
    for seconds, arrived, wanted in steps:
        now += seconds
        requests += arrived
        worth = max(0.2 * arrived, 3 * seconds) * min(1.0, 10 / seconds)
        seen.append((worth, granted(budget, wanted, now, requests)))

    for first in range(len(seen)):
        saved = max([SAVED, *[worth for worth, _ in seen[:first]]])
        allowed = saved + 1e-6
        for worth, got in seen[first:]:
            allowed += worth - got
            assert allowed >= 0


@given(STEPS)
@settings(deadline=None, max_examples=200)
def test_a_retry_is_refused_only_when_the_floor_is_spent(
    steps: list[tuple[float, int, int]],
) -> None:
    budget, now, requests = RetryBudget(0.2, NOW), NOW, 0
    floor = 3.0  # a bucket of 3 a second, that holds 30
    for seconds, arrived, wanted in steps:
        now += seconds
        requests += arrived
        floor = min(floor + 3 * seconds, SAVED)

        got = granted(budget, wanted, now, requests)

        assert got >= min(wanted, int(floor - 1e-6))
        floor = max(0.0, floor - got)


@pytest.mark.parametrize(("retry", "cap"), [(0, 0.025), (1, 0.05), (2, 0.1), (3, 0.2), (4, 0.25)])
def test_the_pause_doubles_from_25_to_250_ms(retry: int, cap: float) -> None:
    assert backoff(retry, lambda: 1.0) == cap


@given(st.integers(0, 10_000), st.floats(0, 1, exclude_max=True))
@settings(deadline=None)
def test_the_pause_is_anywhere_up_to_its_bound(retry: int, uniform: float) -> None:
    pause = backoff(retry, lambda: uniform)

    assert 0.0 <= pause <= 0.25
    assert pause == uniform * backoff(retry, lambda: 1.0)


@given(st.floats(0, 60), st.floats(0, 1, exclude_max=True))
@settings(deadline=None)
def test_an_asked_pause_is_never_shorter_and_at_most_a_fifth_longer(
    asked: float, uniform: float
) -> None:
    assert asked <= asked_pause(asked, lambda: uniform) <= asked * 1.2
