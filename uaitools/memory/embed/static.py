"""The embedder without a server: weighted means of learned word vectors.

The vectors were learned for being averaged: what is frequent in any text is short among them
already. Hence the mild weights: with `_A` far smaller, words that matter to a question (what,
where, how many) fade as well, and the sample's reciprocal rank falls from 0.94 to 0.89. What the
weights do is to fade what this one store says all the time: with a phrase in front of every
memory, means without them lose. Words are read one by one in lower case, without which the rank
is 0.91. Removing the common component of all vectors was tried and gained nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import numpy as np

from uaitools.files import in_thread
from uaitools.memory.embed.errors import EmbedderAway
from uaitools.memory.embed.pooling import pooled
from uaitools.memory.embed.port import EmbeddingModel, Matrix, Vector
from uaitools.memory.embed.statistics import Frequencies, Unknown, weight
from uaitools.memory.embed.weights import DIMENSION, NAME, Weights, likelihood, load
from uaitools.memory.turns import in_turns

_RECIPE: Final = 1  # counts up when the same text gets another vector for the same weights
_MODEL: Final = EmbeddingModel("static", f"{NAME}-{_RECIPE}", DIMENSION)
_A: Final = 0.01  # of the weights a / (a + p)
_REMEMBERED: Final = 8_192  # words whose tokens are: 2 MB, and four in five of a text


class StaticEmbedder:
    """Weighted means of word vectors. frequencies: of words in the store's own texts.

    As these change, so do the vectors of texts that come later, slightly: the space in which they
    are compared is the same.
    """

    def __init__(self, frequencies: Frequencies | None = None) -> None:
        self._frequencies = frequencies or Unknown()
        self._weights: Weights | None = None
        self._known = lru_cache(_REMEMBERED)(self._look_up)

    def __repr__(self) -> str:
        state = "" if self._weights else " stopped"
        return f"<StaticEmbedder {_MODEL}{state} words={self._known.cache_info().currsize}>"

    @property
    def model(self) -> EmbeddingModel:
        """The weights and how they are put together."""
        return _MODEL

    async def start(self) -> None:
        """Read the weights. Raises OSError and ValueError where they are not as expected."""
        self._weights = await in_thread(load)

    async def stop(self) -> None:
        """Let go of the weights."""
        self._weights = None
        self._known.cache_clear()

    async def embed(self, texts: Sequence[str]) -> Matrix:
        """A row for each text. Raises EmbedderAway unless it is started."""
        rows = np.zeros((len(texts), DIMENSION), dtype=np.float32)
        await in_turns(pooled(texts, rows, self._add))
        return rows

    def _add(self, row: Vector, some: list[str]) -> None:
        weights = self._ready()
        tokens: list[int] = []
        factors: list[float] = []
        for word in some:
            pieces, prior = self._known(word)
            own = self._frequencies.probability(word)
            factor = weight(prior if own is None else own, _A)
            tokens.extend(pieces)
            factors.extend([factor] * len(pieces))
        if tokens:
            row += np.array(factors, dtype=np.float32) @ weights.table[tokens].astype(np.float32)

    def _look_up(self, word: str) -> tuple[tuple[int, ...], float]:
        """The tokens of a word, and how probable it is in any text."""
        pieces = self._ready().pieces(word)
        return pieces, likelihood(pieces) if pieces else 1.0

    def _ready(self) -> Weights:
        if self._weights is None:
            raise EmbedderAway("the embedder is stopped")
        return self._weights
