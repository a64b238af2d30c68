"""The embedder of learned word vectors, against sums made by hand."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator

import numpy as np
import pytest

from uaitools.memory.embed.errors import EmbedderAway
from uaitools.memory.embed.port import Vector
from uaitools.memory.embed.static import StaticEmbedder
from uaitools.memory.embed.statistics import Counted
from uaitools.memory.embed.weights import Weights, likelihood, load


@pytest.fixture(scope="module")
def weights() -> Weights:
    return load()


@pytest.fixture
async def plain() -> AsyncIterator[StaticEmbedder]:
    embedder = StaticEmbedder()
    await embedder.start()
    yield embedder
    await embedder.stop()


def cosine(one: Vector, other: Vector) -> float:
    return float(one @ other)


class Known:
    """The statistics of a store in which one word is one in five."""

    def probability(self, term: str) -> float | None:
        return 0.2 if term == "ana" else None


async def test_a_vector_is_the_weighted_sum_of_the_vectors_of_its_words_pieces(
    weights: Weights,
) -> None:
    embedder = StaticEmbedder(Known())
    await embedder.start()

    [row] = await embedder.embed(["Ana's Greyhound-PAY2093"])

    expected = np.zeros(256)
    for word in ["ana", "s", "greyhound", "pay2093"]:
        pieces = weights.tokenizer.encode(word, add_special_tokens=False)
        ids = [n for n, piece in zip(pieces.ids, pieces.tokens, strict=True) if piece != "\u2581"]
        probability = 0.2 if word == "ana" else 0.1 / (max(ids) - 258)
        for token in ids:
            expected += weights.table[token].astype(np.float64) * 0.01 / (0.01 + probability)
    assert row == pytest.approx(expected / np.linalg.norm(expected), abs=1e-5)
    await embedder.stop()


def test_words_that_every_text_has_are_likelier_than_others(weights: Weights) -> None:
    ranked = [likelihood(weights.pieces(word)) for word in ("the", "have", "number", "greyhound")]

    assert ranked == sorted(ranked, reverse=True)
    assert 0 < ranked[-1] < 1e-4 < ranked[0] <= 0.1


async def test_what_is_alike_in_meaning_is_near_without_a_word_in_common(
    plain: StaticEmbedder,
) -> None:
    dog, hound, tax = await plain.embed(
        ["my dog is ill", "our puppy needs a veterinarian", "the invoice has been paid"]
    )

    assert cosine(dog, hound) > cosine(dog, tax) + 0.1


async def test_stop_words_say_next_to_nothing(plain: StaticEmbedder) -> None:
    bare, dressed, other = await plain.embed(
        ["greyhound stairs", "and the greyhound is on the stairs", "and the invoice is on the desk"]
    )

    assert cosine(bare, dressed) > 0.9
    assert cosine(dressed, other) < 0.5


async def test_what_the_store_says_all_the_time_fades(plain: StaticEmbedder) -> None:
    phrase = "Transcript of the household support assistant: "
    facts = [f"{phrase}the parcel {n} has left the depot {n} hours ago" for n in range(150)]
    embedder = StaticEmbedder(Counted(facts))
    await embedder.start()

    texts = [f"{phrase}greyhound", "greyhound"]
    with_phrase, without = await embedder.embed(texts)
    unweighted, _ = await plain.embed(texts)

    assert cosine(with_phrase, without) > 0.95
    assert cosine(unweighted, without) < 0.6
    await embedder.stop()


async def test_one_that_is_not_started_is_away() -> None:
    embedder = StaticEmbedder()

    with pytest.raises(EmbedderAway):
        await embedder.embed(["greyhound"])


def test_the_package_of_the_weights_is_not_run() -> None:
    program = """
import asyncio, sys
from uaitools.memory.embed.static import StaticEmbedder
async def main():
    embedder = StaticEmbedder()
    await embedder.start()
    await embedder.embed(["greyhound"])
asyncio.run(main())
print(sorted({"wordllama", "requests", "huggingface_hub", "torch"} & set(sys.modules)))
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=50
    )

    assert ran.stdout == "[]\n"
