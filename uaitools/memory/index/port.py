"""What an index of vectors promises."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
OTHER_MODEL: Final = -1  # the generation of what is held, but was made by another model


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A memory's vector. generation: of the content that it was made of; the first one is 1.

    The vector has length 1, or is all zeros where nothing of the text is known.
    """

    id: UUID
    user: str
    generation: int
    vector: Vector


@dataclass(frozen=True, slots=True)
class Hit:
    """A memory that was found. score: the cosine of the angle between the two vectors."""

    id: UUID
    score: float


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """Some of a user's vectors as they are kept: little-endian floats, one behind the other."""

    ids: Sequence[UUID]
    generations: Sequence[int]
    vectors: bytes


@dataclass(frozen=True, slots=True)
class Held:
    """What an index says that it has. generation: OTHER_MODEL if it cannot be searched."""

    id: UUID
    user: str
    generation: int


class VectorIndex(Protocol):
    """Finds vectors of one model, each under its user: the same id of two users are two entries.

    Everything but `start`, `stop` and `health` raises IndexAway when the backend does not answer;
    what was asked for may have happened then, and can be asked for again.
    """

    @property
    def name(self) -> str:
        """What it is called in answers and metrics."""

    async def start(self) -> None:
        """Prepare it. Raises IndexUnavailable where there can be none.

        A server of its own that is away is no reason not to start: it is prepared when it comes.
        """

    async def stop(self) -> None:
        """Release everything."""

    async def upsert(self, entries: Sequence[Entry]) -> None:
        """Take entries in; an older generation never replaces a newer one that is there."""

    async def delete(self, user: str, ids: Sequence[UUID]) -> None:
        """Forget entries of a user; ids that are not there are no error."""

    async def delete_scope(self, user: str) -> int:
        """Forget everything of a user. How many there were, as far as is known."""

    async def search(
        self, user: str, vector: Vector, limit: int, among: Sequence[UUID] | None = None
    ) -> list[Hit]:
        """The entries of a user that are nearest to a vector, best first.

        among: only these are looked at. A vector of zeros is near to nothing.
        """

    def ids(self, user: str | None = None) -> AsyncIterator[Held]:
        """What is held of a user, or of all, in pages: memory stays flat."""

    async def health(self) -> bool:
        """Whether it answers. Never raises, and never takes long."""
