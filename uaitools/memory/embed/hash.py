"""The embedder without weights: words and parts of words, hashed into places of a vector.

What shares words or stems is near; synonyms are not. Source: Weinberger et al., "Feature Hashing
for Large Scale Multitask Learning", ICML 2009, with the parts of words of Bojanowski et al.,
"Enriching Word Vectors with Subword Information", TACL 2017.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from hashlib import blake2b
from math import sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from uaitools.memory.embed.pooling import pooled
from uaitools.memory.embed.port import EmbeddingModel, Matrix, Vector
from uaitools.memory.embed.statistics import Frequencies, Unknown, weight
from uaitools.memory.embed.turns import in_turns

_RECIPE: Final = "1"  # counts up when the same text gets another vector
_A: Final = 0.003  # of the weights a / (a + p)
_LENGTHS: Final = (3, 4, 5)  # characters of the parts
_PARTS: Final = 1.0  # what all parts of a word count together; its whole counts 1
_REMEMBERED: Final = 4_096  # words whose places are: about 2 MB


class HashEmbedder:
    """Feature hashing. dimension: of the vectors. frequencies: of words in the store's texts."""

    def __init__(self, dimension: int = 512, frequencies: Frequencies | None = None) -> None:
        self._model = EmbeddingModel("hash", _RECIPE, dimension)
        self._frequencies = frequencies or Unknown()
        self._places = lru_cache(_REMEMBERED)(partial(places, dimension))

    def __repr__(self) -> str:
        return f"<HashEmbedder {self._model} words={self._places.cache_info().currsize}>"

    @property
    def model(self) -> EmbeddingModel:
        """How features become vectors."""
        return self._model

    async def start(self) -> None:
        """Nothing to get ready."""

    async def stop(self) -> None:
        """Forget the words that were seen."""
        self._places.cache_clear()

    async def embed(self, texts: Sequence[str]) -> Matrix:
        """A row for each text."""
        rows = np.zeros((len(texts), self._model.dimension), dtype=np.float32)
        await in_turns(pooled(texts, rows, self._add))
        return rows

    def _add(self, row: Vector, some: list[str]) -> None:
        for word in some:
            at, values = self._places(word)
            own = self._frequencies.probability(word)
            factor = 1.0 if own is None else weight(own, _A)
            np.add.at(row, at, values * np.float32(factor))


def places(dimension: int, word: str) -> tuple[NDArray[np.intp], Vector]:
    """Where a word adds to a vector, and how much: its whole, and its parts."""
    parts = list(_parts(f"<{word}>"))
    each = sqrt(_PARTS / len(parts))  # as a vector, the parts have length sqrt(_PARTS)
    features = [(word, 1.0), *((part, each) for part in parts)]
    at = np.empty(len(features), dtype=np.intp)
    values = np.empty(len(features), dtype=np.float32)
    for position, (feature, value) in enumerate(features):
        number = int.from_bytes(blake2b(feature.encode(), digest_size=8).digest(), "little")
        at[position] = (number >> 1) % dimension
        values[position] = value if number & 1 else -value  # collisions cancel on average
    return at, values


def _parts(word: str) -> Iterator[str]:
    for length in _LENGTHS:
        for start in range(len(word) - length + 1):
            yield word[start : start + length]
