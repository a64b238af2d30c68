"""What holds of entries in every index."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeVar
from uuid import UUID

import numpy as np

from uaitools.memory.index.port import Entry, Vector

FLOAT: Final = np.dtype("<f4")  # as PostgreSQL keeps them
T = TypeVar("T")


def newest(entries: Iterable[Entry]) -> list[Entry]:
    """Of entries with the same id the newest alone, and of equally new ones the last."""
    found: dict[tuple[str, UUID], Entry] = {}
    for entry in entries:
        key = (entry.user, entry.id)
        if key not in found or found[key].generation <= entry.generation:
            found[key] = entry
    return list(found.values())


def checked(vector: Vector, dimension: int) -> Vector:
    """The vector as an index takes it. Raises ValueError for one of another model."""
    if vector.shape != (dimension,):
        raise ValueError(f"a vector has the shape {vector.shape} where ({dimension},) is needed")
    if not np.isfinite(vector).all():
        raise ValueError("a vector has a component that is no finite number")
    return np.ascontiguousarray(vector, FLOAT)


def parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The items in order, at most `size` at once."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
