"""The rows of one day into repositories.

Lists are crawled one after another, some minutes apart, and counts rise meanwhile: of each count
the maximum is nearest to the end of the crawl. What is said in words is taken from the row with the
highest counts, for the same reason. No order of rows makes a difference.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

from uaitools.insight.rankings.reading import Row

T = TypeVar("T", int, datetime)

_WORDS: Final = ("full_name", "language", "description")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a repository stood in a list."""

    item: str
    rank: int | None


@dataclass(frozen=True, slots=True)
class Listed:
    """A repository as the lists of a day have it. places: by their lists, then ranks."""

    full_name: str
    stars: int | None = None
    forks: int | None = None
    issues: int | None = None
    language: str | None = None
    last_commit: datetime | None = None
    description: str | None = None
    places: tuple[Place, ...] = ()

    @property
    def key(self) -> str:
        """What it is known by: GitHub's names are the same in capitals and small letters."""
        return self.full_name.lower()


def gathered(rows: Iterable[Row]) -> dict[str, Listed]:
    """Repositories by their keys, in the keys' order. Memory is that of the repositories."""
    found: dict[str, _Gathering] = {}
    for row in rows:
        found.setdefault(row.full_name.lower(), _Gathering()).take(row)
    return {key: found[key].listed() for key in sorted(found)}


class _Gathering:
    """One repository so far. Words stand beside the counts of the row that they are from."""

    __slots__ = ("_forks", "_issues", "_last_commit", "_places", "_stars", "_words")

    def __init__(self) -> None:
        self._stars: int | None = None
        self._forks: int | None = None
        self._issues: int | None = None
        self._last_commit: datetime | None = None
        self._words: dict[str, tuple[int, int, str]] = {}
        self._places: set[Place] = set()

    def take(self, row: Row) -> None:
        """Take one more row into account."""
        self._stars = _most(self._stars, row.stars)
        self._forks = _most(self._forks, row.forks)
        self._issues = _most(self._issues, row.issues)
        self._last_commit = _most(self._last_commit, row.last_commit)
        for word in _WORDS:
            text = getattr(row, word)
            if text is not None:
                said = (_or(row.stars, -1), _or(row.forks, -1), text)
                self._words[word] = max(said, self._words.get(word, said))
        if row.item is not None:
            self._places.add(Place(row.item, row.rank))

    def listed(self) -> Listed:
        """The repository."""
        said = {word: text for word, (_, _, text) in self._words.items()}
        return Listed(
            said["full_name"],
            self._stars,
            self._forks,
            self._issues,
            said.get("language"),
            self._last_commit,
            said.get("description"),
            tuple(sorted(self._places, key=lambda place: (place.item, _or(place.rank, 0)))),
        )


def _most(one: T | None, other: T | None) -> T | None:
    return max((value for value in (one, other) if value is not None), default=None)


def _or(count: int | None, instead: int) -> int:
    return instead if count is None else count
