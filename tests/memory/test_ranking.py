"""What was found by words and by meaning, as one list."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uaitools.memory.ranking import aged, fused

NOW = datetime(2026, 6, 1, tzinfo=UTC)
names = st.integers(0, 9).map(lambda number: UUID(int=number))
parts = st.floats(0, 1)


def name(number: int) -> UUID:
    return UUID(int=number)


def test_both_parts_count_alike_in_a_hybrid_and_one_alone_in_its_own_mode() -> None:
    words = {name(1): (0.8, ["a"]), name(2): (0.2, ["b"])}
    meaning = {name(2): 0.9, name(3): 0.4}
    found = fused(words, meaning, "hybrid")
    assert [one.id.int for one in found] == [2, 1, 3]
    assert [one.score for one in found] == pytest.approx([0.55, 0.4, 0.2])
    assert (found[0].lexical, found[0].vector, found[0].matched) == (0.2, 0.9, ["b"])
    assert [one.score for one in fused(words, {}, "lexical")] == [0.8, 0.2]
    assert [one.score for one in fused({}, meaning, "vector")] == [0.9, 0.4]


def test_what_means_the_opposite_counts_as_nothing() -> None:
    assert [one.score for one in fused({}, {name(1): -0.5}, "vector")] == [0.0]


def test_a_score_halves_with_each_half_life_and_the_future_is_now() -> None:
    found = fused({name(n): (0.8, []) for n in (1, 2, 3)}, {}, "lexical")
    created = {name(1): NOW - timedelta(days=20), name(2): NOW, name(3): NOW + timedelta(days=9)}
    best = aged(found, created, NOW, timedelta(days=10))
    assert [(one.id.int, one.score, one.recency) for one in best] == [
        (2, 0.8, 1.0),
        (3, 0.8, 1.0),
        (1, 0.2, 0.25),
    ]
    assert aged(found, created, NOW, None) == found


@given(st.dictionaries(names, parts), st.dictionaries(names, parts))
def test_every_candidate_is_there_once_best_first(
    words: dict[UUID, float], meaning: dict[UUID, float]
) -> None:
    lexical = {one: (score, ()) for one, score in words.items()}
    found = fused(lexical, meaning, "hybrid")
    assert {one.id for one in found} == {*words, *meaning}
    assert len(found) == len({*words, *meaning})
    scores = [one.score for one in found]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
