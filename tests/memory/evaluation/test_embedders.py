"""How well embedders find on the sample: what their design rests on."""

from __future__ import annotations

import numpy as np
import pytest

from uaitools.memory.embed.hash import HashEmbedder
from uaitools.memory.embed.pooling import normalise
from uaitools.memory.embed.port import Embedder, Matrix
from uaitools.memory.embed.static import StaticEmbedder
from uaitools.memory.embed.statistics import Counted
from uaitools.memory.embed.weights import load
from uaitools.memory.evaluation.labelled import sample
from uaitools.memory.evaluation.measures import bootstrap, recall, reciprocal_rank

SAMPLE = sample()
CONTENTS = [memory.content for memory in SAMPLE.memories]
QUERIES = [question.query for question in SAMPLE.questions]
PHRASE = "Customer support transcript, household account, message from the user to the assistant: "


def rankings(memories: Matrix, queries: Matrix) -> list[list[str]]:
    """For each question the ids of its user's memories, the nearest first."""
    found = []
    for question, query in zip(SAMPLE.questions, queries, strict=True):
        own = [n for n, one in enumerate(SAMPLE.memories) if one.user_id == question.user_id]
        order = np.argsort(-(memories[own] @ query), kind="stable")
        found.append([SAMPLE.memories[own[place]].id for place in order])
    return found


def ranks(found: list[list[str]]) -> list[float]:
    pairs = zip(found, SAMPLE.questions, strict=True)
    return [reciprocal_rank(ids, question.relevant) for ids, question in pairs]


async def of(embedder: Embedder, phrase: str = "") -> list[list[str]]:
    await embedder.start()
    memories = await embedder.embed([phrase + content for content in CONTENTS])
    queries = await embedder.embed(QUERIES)
    await embedder.stop()
    return rankings(memories, queries)


def plain_means(texts: list[str]) -> Matrix:
    """As the package of the weights does it: all tokens of the text as it is, each counting one."""
    weights = load()
    rows = [weights.table[weights.tokenizer.encode(text).ids].mean(0, np.float32) for text in texts]
    matrix: Matrix = np.array(rows)
    for row in matrix:
        normalise(row)
    return matrix


async def test_weighted_means_of_words_beat_plain_means_of_tokens() -> None:
    weighted = ranks(await of(StaticEmbedder(Counted(CONTENTS))))
    plain = ranks(rankings(plain_means(CONTENTS), plain_means(QUERIES)))

    gain = bootstrap([a - b for a, b in zip(weighted, plain, strict=True)], seed=1)

    assert gain.mean > 0.05  # 0.936 - 0.866
    assert gain.low > 0


async def test_a_phrase_before_every_memory_takes_nothing_from_weighted_means() -> None:
    counted = Counted(PHRASE + content for content in CONTENTS)
    weighted = ranks(await of(StaticEmbedder(counted), PHRASE))
    plain = ranks(
        rankings(plain_means([PHRASE + content for content in CONTENTS]), plain_means(QUERIES))
    )

    gain = bootstrap([a - b for a, b in zip(weighted, plain, strict=True)], seed=1)

    assert np.mean(weighted) > 0.92  # 0.936 without it
    assert gain.low > 0.02  # 0.936 - 0.831


@pytest.mark.parametrize(("statistics", "least"), [(True, 0.94), (False, 0.91)])
async def test_the_relevant_memory_is_among_the_first_three(
    *, statistics: bool, least: float
) -> None:
    found = await of(StaticEmbedder(Counted(CONTENTS) if statistics else None))

    pairs = zip(found, SAMPLE.questions, strict=True)
    assert np.mean([recall(ids, question.relevant, 3) for ids, question in pairs]) > least


async def test_word_vectors_beat_hashed_words_and_those_beat_chance() -> None:
    static = ranks(await of(StaticEmbedder(Counted(CONTENTS))))
    hashed = ranks(await of(HashEmbedder()))
    chance = float(np.mean([1 / rank for rank in range(1, 23)]))

    assert bootstrap([a - b for a, b in zip(static, hashed, strict=True)], seed=1).low > 0.2
    assert bootstrap(hashed, seed=1).low > chance + 0.1
