"""A text in its words and identifiers. Pure.

An identifier is what is no plain word: ERR_CONN-4432, getUserById, v1.2.3, /etc/hosts, C++. It is
found by itself, as it is written but for case, and by its parts. Scripts that put no blanks between
words, such as Han and Thai, are found by pairs of characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain, islice
from typing import Final

from uaitools.memory.analysis.normal import normal
from uaitools.memory.analysis.stems import stem

EXACT: Final = "="
"""What the lexeme of an identifier begins with: no word has it."""

_MOST: Final = 128 * 1024  # characters of a normal form: NFKC makes eighteen of one
_LONGEST_WORD: Final = 64  # characters; what is longer is an identifier, too
_LONGEST_EXACT: Final = 200  # characters; of what is longer the rest is a hash
_CHUNK: Final = re.compile(r"\S+")
_AROUND: Final = ".,;:!?\"'()[]{}<>«»“”„`*|、。「」『』"
_WORD: Final = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_HUMPS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\WA-Z_]+|[0-9]+")
_CAMEL: Final = re.compile(r"[a-z0-9][A-Z]|[A-Z]{2}[a-z]{2}")
_UNSPACED: Final = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]+"
)


@dataclass(frozen=True, slots=True)
class Word:
    """A lexeme and where it stands, from 1. beside: it is the whole of the words from there on."""

    lexeme: str
    position: int
    beside: bool = False


def words(text: str) -> Iterator[Word]:
    """The words of a text in their order; an identifier stands where its first part does.

    Each takes a short time. What is beyond _MOST characters is not found.
    """
    position = 0
    for chunk in _CHUNK.findall(normal("NFKC", text)[:_MOST].replace("\u2019", "'")):
        whole = chunk.strip(_AROUND)
        parts = (part for word in _WORD.findall(whole) for part in _parts(word))
        first = list(islice(parts, 1))
        if whole and _identifies(whole):
            yield Word(_exact(whole.casefold()), position + 1, beside=bool(first))
        for joined in _camels(whole):
            yield Word(stem(joined), position + 1, beside=True)
        for part in chain(first, parts):
            position += 1
            yield Word(part, position)
        if whole and not first:
            position += 1


def _identifies(chunk: str) -> bool:
    """Whether a chunk is no plain word."""
    if _UNSPACED.search(chunk):
        return False  # it is a sentence
    plain = chunk.replace("'", "")
    return len(chunk) > _LONGEST_WORD or not plain.isalpha() or bool(_CAMEL.search(plain))


def _exact(identifier: str) -> str:
    if len(identifier) <= _LONGEST_EXACT:
        return EXACT + identifier
    digest = blake2b(identifier.encode(), digest_size=12).hexdigest()
    return f"{EXACT}{identifier[:_LONGEST_EXACT]}#{digest}"


def _camels(chunk: str) -> list[str]:
    """The words of a chunk that have humps, each as one."""
    found = [word for word in _WORD.findall(chunk) if _CAMEL.search(word)]
    return [word.casefold()[:_LONGEST_WORD] for word in found]


def _parts(word: str) -> Iterator[str]:
    humps = _HUMPS.findall(word) if _CAMEL.search(word) else [word]
    for hump in humps:
        yield from _stems(hump.casefold())


def _stems(word: str) -> Iterator[str]:
    end = 0
    for run in _UNSPACED.finditer(word):
        yield from _spaced(word[end : run.start()])
        pairs = range(max(1, len(run[0]) - 1))
        yield from (run[0][at : at + 2] for at in pairs)
        end = run.end()
    yield from _spaced(word[end:])


def _spaced(word: str) -> Iterator[str]:
    if word:
        yield stem(word[:_LONGEST_WORD])
