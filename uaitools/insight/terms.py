"""What repositories are found by: words of their descriptions, and any part of their names. Pure.

All that is to be found is a lexeme of one index, so that it alone says what is found: the row of a
repository is read for its counts and never for its words. A part of a name is found by the runs of
characters that it is made of; scripts that put no blanks between words are kept as pairs of
characters; languages and magnitudes of stars are lexemes, too.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

MOST: Final = 16  # terms of a query
LONGEST: Final = 100  # characters of a term, and of a word that is kept
PART: Final = 3  # characters that a part of a name has at least
RUN: Final = 4
"""A part of a name that is longer is found where the name has each run of so many characters."""

_NAME: Final = 200  # characters of a name that are kept
# What lexemes begin with that are no words; no word has one of these.
_PART: Final = "~"
_LANGUAGE: Final = "#"
_MAGNITUDE: Final = "*"

_WORD: Final = re.compile(r"[^\W_]+")
_HUMPS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\WA-Z_0-9]+|[0-9]+")
_UNSPACED: Final = re.compile(
    "([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]+)"
)


def words(text: str) -> Iterator[str]:
    """The words of a text, whatever their case."""
    for word in _WORD.findall(folded(text)):
        for at, run in enumerate(_UNSPACED.split(word)):
            if at % 2 == 0:
                if run:
                    yield run[:LONGEST]
            else:
                yield from (run[place : place + 2] for place in range(max(1, len(run) - 1)))


def name_words(name: str) -> Iterator[str]:
    """The words of a name, and what its humps divide it into: fastAPI is fast, api and fastapi."""
    yield from words(name)
    for word in _WORD.findall(unicodedata.normalize("NFKC", name)):
        humps = _HUMPS.findall(word)
        if len(humps) > 1:
            yield from (hump.casefold() for hump in humps)


def folded(text: str) -> str:
    """What two texts have in common that differ in case or in kinds of the same characters.

    Without NUL, which is in no text of PostgreSQL.
    """
    return unicodedata.normalize("NFKC", text).casefold().replace("\0", "")


def document(
    full_name: str, description: str, language: str | None = None, stars: int | None = None
) -> str:
    """The text form of the tsvector of a repository."""
    name = folded(full_name)[:_NAME]
    parts = (_PART + run for size in (PART, RUN) for run in _runs(name, size))
    kept = dict.fromkeys([*name_words(full_name), *words(description), *parts])
    if language is not None:
        kept[_LANGUAGE + language[:LONGEST]] = None
    kept |= dict.fromkeys(f"{_MAGNITUDE}{digits}" for digits in range(1, len(str(stars or 0))))
    return " ".join(map(_quoted, kept))


def query(text: str, language: str | None = None, min_stars: int | None = None) -> str:
    """The text form of a tsquery that finds what has each term of a text; '' if there is none.

    A term is found where the description or the name has its words, or the name has it as a part.
    language: as the source writes it. min_stars: what is found may still have fewer.
    """
    terms = list(filter(None, map(_term, folded(text).split()[:MOST])))
    if not terms:
        return ""
    if language is not None:
        terms.append(_quoted(_LANGUAGE + language.replace("\0", "")[:LONGEST]))
    if min_stars is not None and min_stars >= 10:
        terms.append(_quoted(f"{_MAGNITUDE}{len(str(min_stars)) - 1}"))
    return " & ".join(terms)


def _term(chunk: str) -> str:
    term = chunk[:LONGEST]
    ways = []
    if spoken := list(dict.fromkeys(words(term))):
        ways.append(" & ".join(map(_quoted, spoken)))
    if len(term) >= PART:
        parts = dict.fromkeys(_PART + run for run in _runs(term, min(len(term), RUN)))
        ways.append(" & ".join(map(_quoted, parts)))
    return f"({' | '.join(f'({way})' for way in ways)})" if ways else ""


def _runs(text: str, size: int) -> Iterator[str]:
    return (text[at : at + size] for at in range(len(text) - size + 1))


def _quoted(lexeme: str) -> str:
    """As it stands in the text forms of tsvector and tsquery."""
    doubled = lexeme.replace("\\", "\\\\").replace("'", "''")
    return f"'{doubled}'"
