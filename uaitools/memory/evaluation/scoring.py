"""What modes of a search are worth, by what each found for questions whose answers are known."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

from uaitools.memory.evaluation.labelled import LabelledQuestion
from uaitools.memory.evaluation.measures import Estimate, bootstrap, recall, reciprocal_rank

Mode = Literal["lexical", "vector", "hybrid"]
MODES: Final[tuple[Mode, ...]] = ("lexical", "vector", "hybrid")
MRR: Final = "MRR"
_SEED: Final = 1  # the same figures for the same answers
_Measure = Callable[[Sequence[str], Collection[str]], float]


@dataclass(frozen=True, slots=True)
class Answered:
    """A question, the ids of what is relevant, and of what each mode found, best first."""

    question: LabelledQuestion
    relevant: frozenset[str]
    found: Mapping[Mode, Sequence[str]]

    def rank(self, mode: Mode) -> int | None:
        """The place of the first relevant one, from 1; None where none was found."""
        places = enumerate(self.found[mode], start=1)
        return next((place for place, one in places if one in self.relevant), None)


@dataclass(frozen=True, slots=True)
class Kind:
    """Questions of one kind: how many, and the MRR of each mode."""

    questions: int
    mrr: Mapping[Mode, float]


@dataclass(frozen=True, slots=True)
class Scores:
    """Estimates by measure: of each mode, and of what hybrid has more than each of the others."""

    modes: Mapping[Mode, Mapping[str, Estimate]]
    gains: Mapping[Mode, Mapping[str, Estimate]]
    kinds: Mapping[str, Kind]


def scored(answered: Sequence[Answered], k: int) -> Scores:
    """Scores of the first `k` that were found; one question at least."""
    by = {
        mode: {
            name: [measure(one.found[mode], one.relevant) for one in answered]
            for name, measure in _measures(k).items()
        }
        for mode in MODES
    }
    return Scores(
        {mode: {name: _mean(values) for name, values in of.items()} for mode, of in by.items()},
        {
            mode: {
                name: _mean([a - b for a, b in zip(values, by[mode][name], strict=True)])
                for name, values in by["hybrid"].items()
            }
            for mode in MODES
            if mode != "hybrid"
        },
        _kinds(answered, {mode: by[mode][MRR] for mode in MODES}),
    )


def misses(answered: Iterable[Answered]) -> list[Answered]:
    """Questions whose answer hybrid did not put first, the worst ones first."""
    missed = [one for one in answered if one.rank("hybrid") != 1]
    return sorted(missed, key=lambda one: -(one.rank("hybrid") or 1_000_000))


def _measures(k: int) -> dict[str, _Measure]:
    depths = sorted({min(depth, k) for depth in (1, 5, k)})
    measures: dict[str, _Measure] = {f"recall@{n}": partial(recall, k=n) for n in depths}
    return {**measures, MRR: reciprocal_rank}


def _mean(values: Sequence[float]) -> Estimate:
    return bootstrap(values, seed=_SEED)


def _kinds(answered: Sequence[Answered], ranks: Mapping[Mode, Sequence[float]]) -> dict[str, Kind]:
    places: defaultdict[str, list[int]] = defaultdict(list)
    for place, one in enumerate(answered):
        places[one.question.about].append(place)
    return {
        about: Kind(
            len(own),
            {mode: sum(values[n] for n in own) / len(own) for mode, values in ranks.items()},
        )
        for about, own in sorted(places.items())
    }
