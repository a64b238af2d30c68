"""The embedder that hashes words and their parts."""

from __future__ import annotations

from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uaitools.memory.embed.hash import HashEmbedder, places
from uaitools.memory.embed.words import words


def brute_force(text: str, dimension: int) -> list[float]:
    """The same vector, number by number."""
    total = [0.0] * dimension
    for word in words(text):
        marked = f"<{word}>"
        parts = [
            marked[start : start + length]
            for length in (3, 4, 5)
            for start in range(len(marked))
            if start + length <= len(marked)
        ]
        for feature in [word, *parts]:
            digest = int.from_bytes(blake2b(feature.encode(), digest_size=8).digest(), "little")
            value = 1.0 if feature is word else (1 / len(parts)) ** 0.5
            total[digest // 2 % dimension] += value if digest % 2 else -value
    length = sum(number**2 for number in total) ** 0.5
    return [number / length for number in total] if length else total


async def test_vectors_are_those_of_the_features_one_by_one() -> None:
    texts = ["PAY-2093 is open", "ä", "", "the greyhound and the stairs"]

    rows = await HashEmbedder(128).embed(texts)

    for text, row in zip(texts, rows, strict=True):
        assert row == pytest.approx(brute_force(text, 128), abs=1e-5)


async def test_forms_of_a_word_are_near_and_other_words_are_not() -> None:
    run, running, invoice = await HashEmbedder().embed(["to train", "training", "the invoice"])

    assert run @ running > 0.25 > abs(float(running @ invoice)) + 0.05


async def test_frequent_words_fade() -> None:
    class Known:
        def probability(self, term: str) -> float | None:
            return 0.3 if term == "ana" else None

    bare, dressed = await HashEmbedder(frequencies=Known()).embed(["greyhound", "Ana: greyhound"])

    assert bare @ dressed > 0.99


@given(st.text(min_size=1, max_size=64), st.integers(64, 1_024))
def test_every_word_has_places_within_the_vector(text: str, dimension: int) -> None:
    for word in words(text):
        signed = places(dimension, word)
        assert 0 <= signed.min() <= signed.max() < 2 * dimension


def test_a_word_has_the_places_that_stored_vectors_were_made_with() -> None:
    signed = places(512, "pay")

    assert (signed >> 1).tolist() == [427, 19, 427, 50, 129, 439, 474]
    assert (signed & 1).tolist() == [1, 0, 1, 1, 1, 1, 0]
