"""Repositories over some days, made at random, and what is true of them in plain Python.

Nothing here uses the store, the index or the words of the project: this is what they are compared
with. Trends alone are those of `trending`, whose own tests have another formula.
"""

from __future__ import annotations

import random
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.insight.stores import Line, write
from tests.insight.trending.snapshots import Seen
from uaitools.insight.trending.trend import SUSPECT, Trend, trend
from uaitools.insight.trending.window import Window

FIRST = date(2024, 1, 1)
DAYS = [FIRST + timedelta(at) for at in (0, 1, 2, 5, 6, 7, 8, 12, 30, 36, 37, 38, 41)]
OWNERS = ["ann", "Ben-42", "cem_x", "acme", "Überall".replace("Ü", "U"), "x"]
NAMES = [
    "fastAPI", "react", "react-native", "HTTPServer", "lib", "uai", "c", "my.config", "PyTorch",
    "java", "javascript", "aaaaab", "data2vec", "Rust_book",
]  # fmt: skip
WORDS = [
    "a", "library", "for", "fast", "Web", "SERVERS", "Größe", "große", "груша", "база", "данных",
    "検索エンジン", "全文検索", "機械学習", "한국어", "ไทย", "café", "react", "java", "c++", "3.11",
    "state-of-the-art",
    "it's", "e\N{COMBINING ACUTE ACCENT}t",
    "\N{LATIN SMALL LIGATURE FI}ne", "\N{FULLWIDTH DIGIT TWO}0", "",
]  # fmt: skip
LANGUAGES = ["Python", "Go", "C++", "Jupyter Notebook", None]
QUERIES = [
    *NAMES, *WORDS, *OWNERS, "ann/react", "acme/", "/rea", "eact-n", "api", "http", "fast web",
    "web fast library", "検索", "学習", "эн", "GRÖSSE", "größe java", "nothing-has-this", "'", "\\",
    "a' | 'b", "zzz & !", "aaaa", "aaab", "script java", "\0react", "fine 20",
    "learning_", "c++ fast",
]  # fmt: skip


def normal(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold().replace("\0", "")


def pairs_or_words(text: str) -> set[str]:
    """Words; of scripts without blanks, pairs of neighbours."""
    found: set[str] = set()
    for token in re.findall(r"[^\W_]+", normal(text)):
        run = ""
        for character in token + " ":
            if run and unspaced(run[-1]) != unspaced(character):
                found |= (
                    {run[at : at + 2] for at in range(max(1, len(run) - 1))}
                    if unspaced(run[-1])
                    else {run}
                )
                run = ""
            run += character
        if run.strip():
            found.add(run.strip())
    return found


def unspaced(character: str) -> bool:
    name = unicodedata.name(character, "")
    return name.startswith(("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "THAI"))


def humps(name: str) -> set[str]:
    """`fast` and `api` of fastAPI."""
    found = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+", name)
    return {one.lower() for one in found}


def matches(query: str, name: str, description: str) -> bool:
    """Whether each term of a query is found."""
    terms = [term for term in normal(query).split() if len(term) >= 3 or pairs_or_words(term)]
    own = pairs_or_words(name) | pairs_or_words(description) | humps(name)
    return bool(terms) and all(in_words(term, own) or in_name(term, name) for term in terms)


def in_words(term: str, own: set[str]) -> bool:
    asked = pairs_or_words(term)
    return bool(asked) and asked <= own


def in_name(term: str, name: str) -> bool:
    """A part of three or four characters; of longer ones each run of four."""
    size = min(4, len(term))
    runs = [term[at : at + size] for at in range(len(term) - size + 1)]
    return len(term) >= 3 and all(run in normal(name) for run in runs)


@dataclass(frozen=True)
class Known:
    """A repository as of a day. order: of those that were there before."""

    name: str
    order: tuple[int, str]
    stars: int | None
    forks: int | None
    updated: datetime | None
    language: str | None
    description: str
    day: date


class World:
    """The lines of ranking files by their days, and what follows from them."""

    def __init__(self, seed: int, repositories: int = 150) -> None:
        self.random = random.Random(seed)
        self.lines: dict[date, list[Line]] = {day: [] for day in DAYS}
        names = [
            f"{owner}/{name}{tail}" for owner in OWNERS for name in NAMES for tail in ("", "2")
        ]
        for name in self.random.sample(names, min(repositories, len(names))):
            self._live(name)
        for lines in self.lines.values():
            self.random.shuffle(lines)

    def _live(self, name: str) -> None:
        """A repository on its days; at times it is away, and at times a count is not known."""
        chance = self.random
        stars = int(chance.paretovariate(0.4)) if chance.random() < 0.9 else chance.randrange(3)
        stars, forks = min(stars, 300_000), chance.randrange(50)
        language = chance.choice(LANGUAGES)
        said = " ".join(chance.choice(WORDS) for _ in range(chance.randint(0, 8))).strip()
        began = chance.choice([*DAYS[:3], *DAYS])
        for day in DAYS:
            stars = max(0, stars + chance.choice((0, 0, 1, 3, stars // 10, -1)))
            forks += chance.choice((0, 0, 1))
            if day < began or chance.random() < 0.15:
                continue
            line = Line(
                name,
                stars if chance.random() < 0.97 else None,
                forks if chance.random() < 0.97 else None,
                language,
                said or None,
                datetime(2023, 1, 1, tzinfo=UTC) + timedelta(hours=chance.randrange(9000))
                if chance.random() < 0.9
                else None,
            )
            self.lines[day].append(line)
            for _ in range(chance.choice((0, 0, 1, 2))):  # other lists, crawled before
                less = None if line.stars is None else max(0, line.stars - chance.randrange(4))
                self.lines[day].append(replace(line, stars=less, item="top-100-forks"))

    def write(self, directory: Path, days: Sequence[date] = DAYS) -> list[Path]:
        return [write(directory, day, self.lines[day]) for day in days]

    @cached_property
    def seen(self) -> dict[str, dict[date, Line]]:
        """Each repository on each day, by the maxima of its lists."""
        found: dict[str, dict[date, Line]] = {}
        for day, lines in self.lines.items():
            for line in lines:
                there = found.setdefault(line.name, {}).setdefault(day, line)
                stars = max(
                    (one for one in (there.stars, line.stars) if one is not None), default=None
                )
                found[line.name][day] = replace(there, stars=stars)
        return found

    def known(self, as_of: date) -> list[Known]:
        """All repositories as of a day."""
        found = []
        for name, days in self.seen.items():
            past = sorted(day for day in days if day <= as_of)
            if past:
                line = days[past[-1]]
                order = (DAYS.index(past[0]), name.lower())
                found.append(
                    Known(
                        name, order, line.stars, line.forks, line.last_commit, line.language,
                        line.description or "", past[-1],
                    )
                )  # fmt: skip
        return found

    def found(
        self, as_of: date, query: str, language: str | None, min_stars: int | None, sort: str
    ) -> list[Known]:
        """What a search finds, in order."""
        some = [
            one
            for one in self.known(as_of)
            if matches(query, one.name, one.description)
            and language in (None, one.language)
            and (min_stars is None or (one.stars is not None and one.stars >= min_stars))
        ]
        return sorted(sorted(some, key=lambda one: one.order), key=descending(sort))

    def trend(self, name: str, as_of: date, window: Window) -> Trend:
        seen = [
            Seen(day, line.stars, line.forks)
            for day, line in self.seen[name].items()
            if day <= as_of
        ]
        days = [day for day in DAYS if day <= as_of]
        return trend(seen, as_of=as_of, window=window, source_days=days)

    def trending(
        self, as_of: date, window: Window, language: str | None, *, clean: bool
    ) -> list[tuple[str, Trend]]:
        """The best, in order."""
        some = []
        for one in self.known(as_of):
            found = self.trend(one.name, as_of, window)
            if found.score is None or language not in (None, one.language):
                continue
            if not (clean and SUSPECT & set(found.flags)):
                some.append((one.name, found))
        return sorted(some, key=lambda one: (*best_first(one[1]), one[0].lower()))

    def popular(self, as_of: date, language: str | None) -> list[Known]:
        some = [
            one
            for one in self.known(as_of)
            if one.stars is not None and language in (None, one.language)
        ]
        return sorted(some, key=lambda one: (-(one.stars or 0), one.name.lower()))


def best_first(found: Trend) -> tuple[float, int]:
    assert found.score is not None
    assert found.stars is not None
    assert found.gain is not None
    return -found.score, -(found.stars + found.gain)


def descending(sort: str) -> Callable[[Known], Any]:
    """What is not known stands at the end."""

    def key(one: Known) -> Any:
        value: Any = getattr(one, sort)
        number = value.timestamp() if isinstance(value, datetime) else value
        return (number is None, -(number or 0))

    return key


def languages_of(found: Sequence[Known]) -> dict[str, int]:
    return dict(Counter(one.language for one in found if one.language is not None))


def ranges_of(found: Sequence[Known]) -> dict[str, int]:
    stars = [one.stars for one in found if one.stars is not None]
    return {
        "0-10": sum(one <= 10 for one in stars),
        "11-100": sum(10 < one <= 100 for one in stars),
        "101-1000": sum(100 < one <= 1000 for one in stars),
        "1000+": sum(one > 1000 for one in stars),
    }
