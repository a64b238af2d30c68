"""What a server answers to a request for embeddings, believed only where it is whole and sound.

{"data": [{"index": 0, "embedding": [0.013, -0.027, ...]}, ...]}

What else it has (`model`, `usage`) differs from server to server, and is not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import orjson

from uaitools.memory.embed.pooling import normalise
from uaitools.memory.embed.port import Matrix, Vector

_NUMBER: Final = 32  # bytes of one in JSON, at most, with what stands between two
_REST: Final = 65_536  # bytes of all that is no number
_NUMBERS: Final = frozenset((float, int))  # no bool, which Python calls an int
_HUGE: Final = 1e15  # no embedding has such numbers, and their squares still fit


class BadAnswer(ValueError):
    """It is not what was asked for. The text says why, without a byte of the answer."""


def largest(texts: int, dimension: int) -> int:
    """Bytes that an answer with so many vectors may have."""
    return texts * dimension * _NUMBER + _REST


def vectors(body: bytes, rows: Matrix) -> Iterator[None]:
    """Fill `rows` with the vectors of an answer, by their index; one more is there at each yield.

    Raises BadAnswer for another number of them, an index that is none or comes twice, another
    dimension, and what is no finite number. What the server made longer or shorter gets length 1.
    """
    count, dimension = rows.shape
    seen: set[int] = set()
    for item in _items(body, count):
        index = item.get("index")
        if type(index) is not int or not 0 <= index < count or index in seen:
            raise BadAnswer(f"the indexes of the vectors are not 0 to {count - 1}")
        seen.add(index)
        rows[index] = _vector(item.get("embedding"), dimension)
        normalise(rows[index])
        yield


def _items(body: bytes, count: int) -> list[dict[str, object]]:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadAnswer("the answer is not JSON") from error
    items = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(items, list):
        raise BadAnswer("the answer has no list `data`")
    if not all(isinstance(item, dict) for item in items):
        raise BadAnswer("`data` has something that is no object")
    if len(items) != count:
        raise BadAnswer(f"the answer has {len(items)} vectors for {count} texts")
    return items


def _vector(numbers: object, dimension: int) -> Vector:
    if not isinstance(numbers, list):
        raise BadAnswer("an embedding is not a list of numbers")
    if len(numbers) != dimension:
        raise BadAnswer(f"vectors have dimension {len(numbers)}, not {dimension}")
    if not set(map(type, numbers)) <= _NUMBERS:
        raise BadAnswer("an embedding has something that is no number")
    vector = np.array(numbers, dtype=np.float64)
    if not bool(np.all(np.abs(vector) < _HUGE)):  # nor is infinity, nor what is no number
        raise BadAnswer("an embedding has numbers that are too large")
    return vector.astype(np.float32)
