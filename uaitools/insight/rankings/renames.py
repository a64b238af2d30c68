"""Which repositories go by another name than on the day before.

A repository that moves to another owner, or is renamed by its own, vanishes from the lists under
one name and appears under another. Others vanish and appear on the same day because they are passed
by others at the end of a list, where all counts are near each other. The two are told apart by what
a pair has in common: each field weighs by how much likelier it agrees in one repository on two days
than in two repositories (Fellegi and Sunter, "A Theory for Record Linkage", JASA 64, 1969). Their
chances below are judged, not measured.

Nothing is merged that there is on either day under both names: only what vanished is compared with
what appeared. Nor is a name that could be either of two.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from uaitools.insight.rankings.gathering import Listed

CERTAIN: Final = 0.99
"""From here on a rename is taken as one. Names and counts alone do not come so far: it needs the
same description or the same last commit."""

POSSIBLE: Final = 0.5
"""From here on a second candidate makes the first one ambiguous."""

MOST_PAIRS: Final = 10_000
"""Of one owner or one name. With more it is the source that changed and not a repository."""

# How often a field agrees in one repository on two days, and in two that could be taken for one.
_CHANCES: Final = {
    "stars": (0.98, 0.3),  # at the end of a list, where they vanish and appear, all are near
    "forks": (0.98, 0.1),
    "language": (0.98, 0.2),
    "description": (0.9, 0.002),
    "last_commit": (0.6, 0.001),  # to the second; a commit in between makes no other repository
}
# The odds before anything is compared. An owner has many repositories; a name has few owners.
_SAME_NAME: Final = 1 / 4
_SAME_OWNER: Final = 1 / 20


@dataclass(frozen=True, slots=True)
class Rename:
    """A repository under its old and its new name. certainty: 0 to 1.

    agree, differ: the fields that do; those that are not known on both days are in neither.
    """

    old: str
    new: str
    certainty: float
    agree: tuple[str, ...]
    differ: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Renames:
    """settled: to be merged. open: possible, and left alone; for people to look at."""

    settled: tuple[Rename, ...]
    open: tuple[Rename, ...]


def renames(before: Mapping[str, Listed], after: Mapping[str, Listed], days: int = 1) -> Renames:
    """What may go by another name in `after` than in `before`, both by their keys, sorted.

    days: between the two, which are the nearest known ones. Counts are near when they differ by no
    more than 2 stars (forks) and 2 % a day, for up to ten days.
    """
    vanished = [before[key] for key in sorted(before.keys() - after.keys())]
    appeared = [after[key] for key in sorted(after.keys() - before.keys())]
    possible = [
        found
        for old, new, odds in _pairs(vanished, appeared)
        if (found := _compared(old, new, odds, days)).certainty >= POSSIBLE
    ]
    rivals: defaultdict[str, int] = defaultdict(int)
    for one in possible:
        rivals[f"old {one.old}"] += 1
        rivals[f"new {one.new}"] += 1
    settled = [
        one
        for one in possible
        if one.certainty >= CERTAIN
        and _counts_near(one)
        and rivals[f"old {one.old}"] == rivals[f"new {one.new}"] == 1
    ]
    return Renames(tuple(settled), tuple(one for one in possible if one not in settled))


def _pairs(
    vanished: Iterable[Listed], appeared: Iterable[Listed]
) -> Iterator[tuple[Listed, Listed, float]]:
    """Pairs of one owner or of one name; no pair has both, it would be the same repository."""
    for part, odds in ((0, _SAME_OWNER), (1, _SAME_NAME)):
        blocks: defaultdict[str, tuple[list[Listed], list[Listed]]] = defaultdict(lambda: ([], []))
        for side, several in enumerate((vanished, appeared)):
            for one in several:
                blocks[one.key.split("/")[part]][side].append(one)
        for olds, news in blocks.values():
            if len(olds) * len(news) <= MOST_PAIRS:
                yield from ((old, new, odds) for old in olds for new in news)


def _compared(old: Listed, new: Listed, odds: float, days: int) -> Rename:
    agree: list[str] = []
    differ: list[str] = []
    for field, same in (
        ("stars", _near(old.stars, new.stars, days)),
        ("forks", _near(old.forks, new.forks, days)),
        ("language", _same(old.language, new.language)),
        ("description", _same(_words(old), _words(new))),
        ("last_commit", _same(old.last_commit, new.last_commit)),
    ):
        if same is None:
            continue
        one, two = _CHANCES[field]
        odds *= one / two if same else (1 - one) / (1 - two)
        (agree if same else differ).append(field)
    return Rename(old.key, new.key, odds / (1 + odds), tuple(agree), tuple(differ))


def _counts_near(one: Rename) -> bool:
    """A copy in another place says the same of itself, and has other counts."""
    counts = {"stars", "forks"}
    return not counts.isdisjoint(one.agree) and counts.isdisjoint(one.differ)


def _near(one: int | None, other: int | None, days: int) -> bool | None:
    if one is None or other is None:
        return None
    return abs(one - other) <= min(max(days, 1), 10) * (2 + 0.02 * max(one, other))


def _same(one: object, other: object) -> bool | None:
    return None if one is None or other is None else one == other


def _words(one: Listed) -> str | None:
    return None if one.description is None else " ".join(one.description.lower().split())
