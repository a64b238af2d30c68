"""How frequent words are, and how much less a frequent one counts: smooth inverse frequencies.

A word with probability p is weighted a / (a + p), so that what stands in every text, stop words
and the store's own phrases alike, fades from a mean of word vectors. Source: Arora, Liang, Ma, "A
Simple but Tough-to-Beat Baseline for Sentence Embeddings", ICLR 2017.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final, Protocol

from uaitools.memory.embed.words import words

ENOUGH: Final = 1_000  # words; the frequency of one in a hundred is then known to a third


class Frequencies(Protocol):
    """How frequent words are in the store's own texts."""

    def probability(self, term: str) -> float | None:
        """The part of all words that are this one, over 0; None where that is not known.

        term: a word as `words` gives them; who counts stems takes its stem.
        """
        ...


class Unknown:
    """No statistics."""

    def __repr__(self) -> str:
        return "<Unknown>"

    def probability(self, term: str) -> float | None:  # noqa: ARG002 - the protocol's
        """None, of any word."""
        return None


class Counted:
    """Statistics of texts that are at hand. They say nothing before they are of ENOUGH words."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._counts: Counter[str] = Counter()
        self._total = 0
        for text in texts:
            self.add(text)

    def __repr__(self) -> str:
        return f"<Counted words={self._total} different={len(self._counts)}>"

    def add(self, text: str) -> None:
        """Count the words of one more text."""
        for word in words(text):
            self._counts[word] += 1
            self._total += 1

    def probability(self, term: str) -> float | None:
        """Its part of what was counted; None of a word that never was."""
        if self._total < ENOUGH or term not in self._counts:
            return None
        return self._counts[term] / self._total


def weight(probability: float, a: float) -> float:
    """How much a word counts: near 1 for a rare one, near 0 for one far more frequent than `a`."""
    return a / (a + probability)
