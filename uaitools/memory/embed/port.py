"""What an embedder is: texts in, vectors out, and the model by which they are to be compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
Matrix = NDArray[np.float32]
"""(texts, dimension). A row has length 1, or is all zeros where nothing in the text is known."""


@dataclass(frozen=True, slots=True)
class EmbeddingModel:
    """What made a vector; recorded with it. Vectors of different models are never compared.

    name: of the embedder. version: of its weights and of how they are put together. dimension: of
    the vectors.
    """

    name: str
    version: str
    dimension: int

    def __str__(self) -> str:
        return f"{self.name}/{self.version}/{self.dimension}"


class Embedder(Protocol):
    """Makes vectors of texts. The event loop is never held for over 10 ms."""

    @property
    def model(self) -> EmbeddingModel:
        """What its vectors are recorded with; known before it starts."""
        ...

    async def start(self) -> None:
        """Get ready to embed."""
        ...

    async def stop(self) -> None:
        """Let go of everything. What is under way fails; stopped twice is stopped."""
        ...

    async def embed(self, texts: Sequence[str]) -> Matrix:
        """A row for each text, in their order; none for none.

        Raises EmbedderAway (503, may be tried again) and, as one of those, EmbedderRefused, which
        will be refused again.
        """
        ...
