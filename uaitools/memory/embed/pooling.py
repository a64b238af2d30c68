"""From the words of texts to vectors: each word adds to its text's vector, in short steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from math import sqrt
from typing import Final

from uaitools.memory.embed.port import Matrix, Vector
from uaitools.memory.embed.words import words

STEP: Final = 32  # words, a millisecond of work, and under 10 where all are long and new


def pooled(
    texts: Sequence[str], rows: Matrix, add: Callable[[Vector, list[str]], None]
) -> Iterator[None]:
    """Fill `rows`, which are zeros, with the vectors of `texts`; a step is done at each yield.

    add: adds some words of a text to its vector.
    """
    for text, row in zip(texts, rows, strict=True):
        rest = words(text)
        while some := list(islice(rest, STEP)):
            add(row, some)
            yield
        normalise(row)
        yield


def normalise(row: Vector) -> None:
    """Give a vector length 1, in place; zeros stay what they are."""
    length = sqrt(float(row @ row))
    if length > 0:
        row /= length
