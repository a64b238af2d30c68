"""Measures of rankings, against sums by hand and by brute force."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uaitools.memory.evaluation.measures import bootstrap, recall, reciprocal_rank

RANKINGS = st.permutations("abcdefgh")
RELEVANT = st.sets(st.sampled_from("abcdefghxy"), min_size=1)


def test_measures_are_what_a_hand_computes() -> None:
    found = ["d", "a", "c", "b"]

    assert recall(found, {"a", "b"}, 1) == 0
    assert recall(found, {"a", "b"}, 2) == 0.5
    assert recall(found, ["a", "b"], 4) == 1
    assert recall(found, {"a", "x"}, 10) == 0.5
    assert reciprocal_rank(found, {"b", "c"}) == 1 / 3
    assert reciprocal_rank(found, {"x"}) == 0
    assert reciprocal_rank([], {"x"}) == 0


@given(RANKINGS, RELEVANT, st.integers(0, 10))
def test_recall_counts_what_is_among_the_first(
    found: list[str], relevant: set[str], k: int
) -> None:
    hits = 0
    for one in relevant:
        if one in found and found.index(one) < k:
            hits += 1

    assert recall(found, relevant, k) == hits / len(relevant)


@given(RANKINGS, RELEVANT)
def test_the_reciprocal_rank_is_of_the_best_relevant(found: list[str], relevant: set[str]) -> None:
    ranks = [found.index(one) + 1 for one in relevant if one in found]

    assert reciprocal_rank(found, relevant) == (1 / min(ranks) if ranks else 0)


def test_a_question_without_an_answer_measures_nothing() -> None:
    with pytest.raises(ValueError, match="relevant"):
        recall(["a"], [], 1)
    with pytest.raises(ValueError, match="relevant"):
        reciprocal_rank(["a"], [])


@pytest.mark.parametrize(
    ("values", "level"), [((0.0, 0.0, 1.0), 0.9), ((0.0, 0.5, 1.0), 0.8), ((0.2, 0.9, 0.4), 0.5)]
)
def test_the_interval_is_that_of_all_resamples_there_are(
    values: tuple[float, ...], level: float
) -> None:
    means = sorted(sum(drawn) / 3 for drawn in product(values, repeat=3))

    estimate = bootstrap(values, seed=7, level=level, resamples=20_000)

    tail = (1 - level) / 2
    assert estimate.mean == pytest.approx(sum(values) / 3)
    assert estimate.low == pytest.approx(means[int(tail * 27)])
    assert estimate.high == pytest.approx(means[-1 - int(tail * 27)])


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=20), st.integers())
def test_an_interval_is_the_same_again_and_lies_within_the_values(
    values: list[float], seed: int
) -> None:
    estimate = bootstrap(values, seed=seed, resamples=50)

    assert estimate == bootstrap(values, seed=seed, resamples=50)
    assert min(values) - 1e-9 <= estimate.low <= estimate.high <= max(values) + 1e-9


def test_a_wider_level_has_a_wider_interval() -> None:
    values = [0.0, 1.0] * 20
    narrow, wide = (bootstrap(values, seed=1, level=level) for level in (0.5, 0.99))

    assert wide.low < narrow.low < 0.5 < narrow.high < wide.high
    assert str(bootstrap([1.0], seed=1)) == "1.000 [1.000, 1.000]"


@pytest.mark.parametrize(("values", "level"), [([], 0.95), ([1.0], 1.0), ([1.0], 0.0)])
def test_what_has_no_interval_is_refused(values: list[float], level: float) -> None:
    with pytest.raises(ValueError, match=r"mean|level"):
        bootstrap(values, seed=1, level=level)
