"""A text as what is kept of it to find it. Pure."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Final

from uaitools.memory.analysis.quoting import quoted
from uaitools.memory.analysis.words import words

_FURTHEST: Final = 16_383  # positions of a tsvector, PostgreSQL 12.11; words beyond stand there
_MOST: Final = 255  # positions of one lexeme


@dataclass(frozen=True, slots=True)
class Document:
    """lexemes: the text form of a tsvector. length: in words."""

    lexemes: str
    length: int


def document(text: str) -> Document:
    """What is kept of a text."""
    steps = reading(text)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: Document = end.value
            return found


def reading(text: str) -> Generator[None, None, Document]:
    """The same in short steps."""
    places: dict[str, list[int]] = {}
    length = 0
    for word in words(text):
        kept = places.setdefault(word.lexeme, [])
        if len(kept) < _MOST:
            kept.append(min(word.position, _FURTHEST))
        length = max(length, word.position)
        yield
    lexemes = []
    for one, at in places.items():
        lexemes.append(f"{quoted(one)}:{','.join(map(str, at))}")
        yield
    return Document(" ".join(lexemes), length)
