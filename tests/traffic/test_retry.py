import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uaitools.traffic.retry import Repeatable, RetryBudget, RetryPolicy, backoff, pause_before

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
    waited = backoff(retry, lambda: uniform)

    assert 0.0 <= waited <= 0.25
    assert waited == uniform * backoff(retry, lambda: 1.0)


@given(st.floats(0, 60), st.floats(0, 1, exclude_max=True))
@settings(deadline=None)
def test_an_asked_pause_is_never_shorter_and_at_most_a_fifth_longer(
    asked: float, uniform: float
) -> None:
    assert asked <= pause_before(0, asked, lambda: uniform) <= asked * 1.2


@given(st.integers(1, 5), st.booleans(), st.booleans(), st.booleans(), st.booleans())
def test_what_may_have_been_acted_on_is_sent_again_only_elsewhere_and_only_if_that_is_no_harm(
    sent: int, kept: bool, replayable: bool, unsent: bool, elsewhere: bool
) -> None:
    request = Repeatable(kept=kept, replayable=replayable)
    repeated = RetryPolicy(tries=3).repeats(sent, request, unsent=unsent, elsewhere=elsewhere)

    assert repeated == (kept and sent < 3 and (unsent or (replayable and elsewhere)))


@pytest.mark.parametrize(
    ("status", "asked", "left", "refused"),
    [
        (503, None, 0.1, True),
        (503, 1.0, 10.0, True),
        (503, 2.5, 10.0, False),  # longer than anybody wants to wait
        (503, 1.0, 1.0, False),  # it would come too late
        (500, None, 10.0, False),
        (200, 1.0, 10.0, False),
    ],
)
def test_an_answer_that_says_not_now_is_not_wanted_unless_that_means_much_later(
    status: int, asked: float | None, left: float, *, refused: bool
) -> None:
    assert RetryPolicy().refuses(status, asked, left) is refused
