"""Words, their statistics, and how many of them are put together at a step."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from uaitools.memory.embed.pooling import STEP, pooled
from uaitools.memory.embed.port import Vector
from uaitools.memory.embed.statistics import ENOUGH, Counted, Unknown, weight
from uaitools.memory.embed.words import words


def test_words_are_letters_and_digits_that_stand_together() -> None:
    assert list(words("Ana's PAY-2093, Ärger_2 猫!")) == [
        "ana",
        "s",
        "pay",
        "2093",
        "ärger_2",
        "猫",
    ]


@given(st.text())
def test_words_are_all_that_is_alphanumeric_and_none_is_long(text: str) -> None:
    found = list(words(text))

    together = "".join(c for c in text if c.isalnum() or c == "_")
    assert "".join(found) == "".join(c.lower() for c in together)
    assert all(len(word.encode()) < 1_000 for word in found)


@given(st.lists(st.lists(st.sampled_from("abc"), max_size=100), max_size=5))
def test_each_text_has_the_sum_of_its_words_in_steps_of_bounded_size(
    texts: list[list[str]],
) -> None:
    sizes: list[int] = []

    def add(row: Vector, some: list[str]) -> None:
        sizes.append(len(some))
        for word in some:
            row["abc".index(word)] += 1

    rows = np.zeros((len(texts), 3), dtype=np.float32)
    for _ in pooled([" ".join(text) for text in texts], rows, add):
        assert sum(sizes) <= sum(map(len, texts))

    assert max(sizes, default=0) <= STEP
    for text, row in zip(texts, rows, strict=True):
        counts = np.array([text.count(word) for word in "abc"], dtype=float)
        assert row == pytest.approx(counts / (np.linalg.norm(counts) or 1), abs=1e-6)


def test_statistics_say_nothing_before_they_are_of_enough_words() -> None:
    counted = Counted(["ana greyhound"] * (ENOUGH // 2 - 1))
    before = counted.probability("ana")
    counted.add("Ana BOLT")

    assert before is None
    assert counted.probability("ana") == 0.5
    assert counted.probability("bolt") == 1 / ENOUGH
    assert counted.probability("cat") is None
    assert Unknown().probability("ana") is None


@given(st.lists(st.sampled_from(["the dog", "the", "a cat", "dog"]), min_size=1, max_size=9))
def test_probabilities_are_parts_of_all_words(some: list[str]) -> None:
    texts = some * ENOUGH
    counted = Counted(texts)
    every = Counter(word for text in texts for word in text.split())

    for word, count in every.items():
        assert counted.probability(word) == pytest.approx(count / every.total())


@given(st.floats(0, 1), st.floats(0, 1))
def test_the_more_frequent_word_never_counts_more(one: float, other: float) -> None:
    low, high = sorted((one, other))

    assert 0 < weight(high, 0.01) <= weight(low, 0.01) <= 1
