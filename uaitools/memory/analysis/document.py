"""A text as what is kept of it to find it. Pure."""

from __future__ import annotations

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
    places: dict[str, list[int]] = {}
    length = 0
    for word in words(text):
        kept = places.setdefault(word.lexeme, [])
        if len(kept) < _MOST:
            kept.append(min(word.position, _FURTHEST))
        length = max(length, word.position)
    lexemes = (f"{quoted(one)}:{','.join(map(str, at))}" for one, at in places.items())
    return Document(" ".join(lexemes), length)
