"""Vectors for tests, and what exact arithmetic says of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import numpy as np

from uaitools.memory.index.port import Entry, Hit, Vector

DIMENSION: Final = 8


def unit(*components: float) -> Vector:
    """The direction of some components; those left out are 0."""
    vector = np.zeros(DIMENSION)
    vector[: len(components)] = components
    length = np.linalg.norm(vector)
    return (vector / length if length else vector).astype(np.float32)


def crowd(count: int, seed: int = 1) -> list[Vector]:
    """Random directions."""
    vectors = np.random.default_rng(seed).normal(size=(count, DIMENSION))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return list(vectors.astype(np.float32))


def number(value: int) -> UUID:
    """An id that is easily told from others."""
    return UUID(int=value << 64 | value * 0x9E3779B97F4A7C15 % (1 << 64))


def entry(value: int, vector: Vector, user: str = "ann", generation: int = 1) -> Entry:
    return Entry(number(value), user, generation, vector)


def oracle(entries: Sequence[Entry], vector: Vector) -> dict[UUID, float]:
    """The score of every entry."""
    wanted = vector.astype(np.float64)
    return {e.id: float(e.vector.astype(np.float64) @ wanted) for e in entries}


def assert_nearest(hits: Sequence[Hit], scores: dict[UUID, float], limit: int) -> None:
    """Hits are the best of all, with their scores, best first; which of equals is open."""
    found = [hit.score for hit in hits]
    assert len(hits) == min(limit, len(scores))
    assert len({hit.id for hit in hits}) == len(hits)
    assert found == sorted(found, reverse=True)
    np.testing.assert_allclose(found, [scores[hit.id] for hit in hits], atol=1e-5)
    best = sorted(scores.values(), reverse=True)[: len(hits)]
    np.testing.assert_allclose(found, best, atol=1e-5)
