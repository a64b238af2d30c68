"""What is asked: words of which any will do, identifiers, and phrases that have to be there. Pure.

    deploy "blue green" ERR-4432

finds what has the phrase, and ranks by the words and the identifier.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from uaitools.memory.analysis.quoting import quoted
from uaitools.memory.analysis.stems import STOPS, stem
from uaitools.memory.analysis.words import EXACT, words

MOST: Final = 64  # lexemes of a query; the first ones count
_PHRASE: Final = re.compile(r'"([^"]*)"|“([^”]*)”')
_STOPS: Final = frozenset(map(stem, STOPS))
_SEVERAL: Final = re.compile(r"[^\W\d_]+(?:[-‐‑–—'][^\W\d_]+)+|\d{1,2}|[\W_]+")  # noqa: RUF001


@dataclass(frozen=True, slots=True)
class Query:
    """lexemes: any of them may be found. phrases: each has to be, its words side by side."""

    lexemes: tuple[str, ...]
    phrases: tuple[tuple[str, ...], ...]

    def __bool__(self) -> bool:
        return bool(self.lexemes)

    @property
    def any(self) -> str:
        """The text form of the tsquery of all that may be found."""
        wanted = " & ".join(_beside(one) for one in self.phrases)
        return wanted or " | ".join(map(quoted, self.lexemes))

    @property
    def required(self) -> str | None:
        """The text form of the tsquery of what has to be found, None for nothing."""
        return self.any if self.phrases else None


def query(text: str) -> Query:
    """What a text asks for; nothing, if there is no word in it."""
    phrases = []
    for match in _PHRASE.finditer(text):
        phrase = tuple(one.lexeme for one in words(match[1] or match[2] or "") if not one.beside)
        if phrase:
            phrases.append(phrase[:MOST])
    found = dict.fromkeys(one.lexeme for one in words(text))
    telling = [one for one in found if one not in _STOPS]
    return Query(tuple((telling or list(found))[:MOST]), tuple(phrases[:8]))


def identifies(lexeme: str) -> bool:
    """Whether a lexeme is that of a chunk as it is written, and not a word's."""
    return lexeme.startswith(EXACT)


def distinguishes(lexeme: str) -> bool:
    """Whether a lexeme is an identifier's that is asked for as such.

    Words that are joined by hyphens or apostrophes, numbers of one or two digits, and marks alone
    stand in texts that have nothing else in common.
    """
    return identifies(lexeme) and not _SEVERAL.fullmatch(lexeme.removeprefix(EXACT))


def _beside(phrase: tuple[str, ...]) -> str:
    return "(" + " <-> ".join(map(quoted, phrase)) + ")"
