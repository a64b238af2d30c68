"""The embedder without weights: words and parts of words, hashed into places of a vector.

What shares words or stems is near; synonyms are not. Source: Weinberger et al., "Feature Hashing
for Large Scale Multitask Learning", ICML 2009, with the parts of words of Bojanowski et al.,
"Enriching Word Vectors with Subword Information", TACL 2017.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from hashlib import blake2b
from typing import Final

import numpy as np
from numpy.typing import NDArray

from uaitools.memory.embed.pooling import pooled
from uaitools.memory.embed.port import EmbeddingModel, Matrix, Vector
from uaitools.memory.embed.statistics import Frequencies, Unknown, weight
from uaitools.memory.turns import in_turns

_RECIPE: Final = "1"  # counts up when the same text gets another vector
_A: Final = 0.003  # of the weights a / (a + p)
_LENGTHS: Final = (3, 4, 5)  # characters of the parts
_PARTS: Final = 1.0  # what all parts of a word count together; its whole counts 1
_REMEMBERED: Final = 4_096  # words whose places are: 1.5 MB


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
        found = [self._places(word) for word in some]
        counts = np.array([len(one) for one in found])
        factors = np.array([self._factor(word) for word in some], dtype=np.float32)
        # As a vector, the parts of a word have length sqrt(_PARTS).
        values = np.repeat(factors * np.sqrt(_PARTS / (counts - 1)).astype(np.float32), counts)
        values[np.cumsum(counts) - counts] = factors
        signed = np.concatenate(found)
        np.add.at(row, signed >> 1, np.where(signed & 1, values, -values))

    def _factor(self, word: str) -> float:
        own = self._frequencies.probability(word)
        return 1.0 if own is None else weight(own, _A)


def places(dimension: int, word: str) -> NDArray[np.int32]:
    """Where a word adds to a vector, times two: its whole, and its parts.

    One more where it is added, not subtracted: so collisions cancel on average.
    """
    found = []
    for feature in (word, *_parts(f"<{word}>")):
        number = int.from_bytes(blake2b(feature.encode(), digest_size=8).digest(), "little")
        found.append((number >> 1) % dimension * 2 + (number & 1))
    return np.array(found, dtype=np.int32)


def _parts(word: str) -> Iterator[str]:
    for length in _LENGTHS:
        for start in range(len(word) - length + 1):
            yield word[start : start + length]
