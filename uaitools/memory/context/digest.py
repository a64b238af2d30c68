"""A digest of turns: whole sentences of theirs that say most, and do not say the same twice. Pure.

Sentences are vectors of their terms (tf-idf among themselves). One after the other is taken, by how
near it is to the centre of all, and to the query, less how near it is to one that was taken:
maximal marginal relevance (Carbonell and Goldstein 1998). The same input gives the same digest.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import log, sqrt
from typing import Final

from uaitools.memory.context.line import Line, Turn

CONSIDERED: Final = 1000  # sentences, the newest ones
SHORTLIST: Final = 200  # the most relevant of these, which are compared with each other
_RELEVANCE: Final = 0.5  # how much it counts; the rest is what a repetition costs
_BETWEEN: Final = " … "  # sentences of one turn

# A space after a sentence's end, and its closing quotes, unless the next one goes on in lower case;
# after an end as it is written in Chinese and Japanese nothing is needed.
_ENDS: Final = re.compile(
    r"(?<=[.!?…])\s+(?=[^a-z\s])|(?<=[.!?…][\"'”’»)\]])\s+(?=[^a-z\s])|(?<=[。！？])"  # noqa: RUF001
)
# A character of a script without spaces is a word.
_WORDS: Final = re.compile(
    r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]|[^\W_\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]+"
)

Vector = Mapping[str, float]


def sentences(text: str) -> Iterator[str]:
    """The sentences of a text: parts of it, in order."""
    for line in text.splitlines():
        for part in _ENDS.split(line):
            if sentence := part.strip():
                yield sentence


def words(text: str) -> list[str]:
    """The words of a text, without regard to case."""
    return _WORDS.findall(text.casefold())


def normal(text: str) -> str:
    """What two texts have in common that say the same in the same words."""
    return " ".join(words(text))


@dataclass(slots=True, eq=False)
class _Sentence:
    turn: int
    place: int
    text: str
    form: str
    vector: Vector
    relevance: float = 0.0
    repetition: float = 0.0

    @property
    def score(self) -> float:
        return _RELEVANCE * self.relevance - (1 - _RELEVANCE) * self.repetition


@dataclass(frozen=True, slots=True)
class Digest:
    """Lines, in the order of their turns. said: their sentences, as `normal` makes them."""

    lines: list[Line]
    said: frozenset[str]


def digest(
    turns: Sequence[Turn],
    budget: int,
    price: Callable[[Line], int],
    *,
    query: str = "",
    said: Collection[str] = (),
) -> Digest:
    """Lines of sentences from `turns`, which are in order, that cost no more than `budget`.

    price: of a line. said: sentences, as `normal` makes them, that are not to be repeated.
    """
    left = _shortlist(turns, query, said) if budget > 0 else []
    lines: dict[int, Line] = {}
    taken: dict[int, list[_Sentence]] = {}
    spent: Counter[int] = Counter()
    while left:
        best = max(left, key=lambda one: one.score)
        left.remove(best)
        several = sorted([*taken.get(best.turn, ()), best], key=lambda one: one.place)
        text = _BETWEEN.join(one.text for one in several)
        line = Line("digest", turns[best.turn].source, text)
        cost = price(line)
        if spent.total() - spent[best.turn] + cost > budget:
            continue
        lines[best.turn], taken[best.turn], spent[best.turn] = line, several, cost
        for one in left:
            one.repetition = max(one.repetition, _product(one.vector, best.vector))
    told = frozenset(one.form for several in taken.values() for one in several)
    return Digest([lines[turn] for turn in sorted(lines)], told)


def _shortlist(turns: Sequence[Turn], query: str, said: Collection[str]) -> list[_Sentence]:
    """Sentences worth a look, the most relevant first."""
    counts = list(_considered(turns, said))
    frequency = Counter(term for *_, terms in counts for term in set(terms))
    weights = {term: log(1 + len(counts) / frequency[term]) for term in frequency}
    found = [
        _Sentence(turn, place, text, " ".join(terms), _vector(Counter(terms), weights))
        for turn, place, text, terms in counts
    ]
    centre = _sum(one.vector for one in found)
    asked = _vector(Counter(words(query)), weights)
    for one in found:
        one.relevance = _product(one.vector, centre) + _product(one.vector, asked)
    found.sort(key=lambda one: -one.relevance)
    return found[:SHORTLIST]


def _considered(
    turns: Sequence[Turn], said: Collection[str]
) -> Iterator[tuple[int, int, str, list[str]]]:
    """The newest sentences, each once: turn, place in it, text, terms."""
    known = set(said)
    room = CONSIDERED
    for number in range(len(turns) - 1, -1, -1):
        parts = list(sentences(turns[number].text))
        for place in range(len(parts) - 1, -1, -1):
            terms = words(parts[place])
            form = " ".join(terms)
            if not form or form in known:
                continue
            known.add(form)
            yield number, place, parts[place], terms
            room -= 1
            if not room:
                return


def _vector(terms: Mapping[str, int], weights: Mapping[str, float]) -> Vector:
    return _unit({term: terms[term] * weights[term] for term in terms if term in weights})


def _sum(vectors: Iterator[Vector]) -> Vector:
    total: dict[str, float] = {}
    for vector in vectors:
        for term, weight in vector.items():
            total[term] = total.get(term, 0.0) + weight
    return _unit(total)


def _unit(vector: Vector) -> Vector:
    length = sqrt(sum(weight * weight for weight in vector.values()))
    return {term: weight / length for term, weight in vector.items()}


def _product(one: Vector, other: Vector) -> float:
    if len(one) > len(other):
        one, other = other, one
    return sum(weight * other[term] for term, weight in one.items() if term in other)
