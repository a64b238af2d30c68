"""Tags into versions that were released. Pure.

A tag is a version if it ends with two to four numbers with dots, after `v` or a prefix that ends
with `-`, `_`, `/` or `@`, and with what marks a pre-release or a build: `v1.2.3`, `1.0rc1`,
`release-2.4`, `pkg@1.2.3`, `2024.01.31`. It is dated by who made it, a lightweight one by its
commit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from uaitools.insight.analysis.dates import DAY, YEAR, median_gap
from uaitools.insight.analysis.errors import Unreadable
from uaitools.insight.analysis.texts import readable

FORMAT: Final = "%(objecttype) %(*objecttype) %(creatordate:unix) %(refname:strip=2)"
"""What `git for-each-ref` is asked for: the line that `Tags.add` takes."""
_VERSION: Final = re.compile(
    rb"(?:.{0,200}[-_/@])?[vV]?\d{1,9}(?:[._]\d{1,9}){1,3}(?P<rest>[-+._]?[0-9A-Za-z][0-9A-Za-z.+-]{0,100})?"
)
_BEFORE: Final = re.compile(
    rb"(?i)^[-._]?(?:alpha|beta|a|b|c|rc|pre|preview|dev|snapshot|m)(?![a-z])"
)
_LATEST: Final = 10


@dataclass(frozen=True, slots=True)
class Release:
    """A version. at: unix seconds, None if git does not tell. annotated: it is a tag by itself."""

    tag: str
    at: int | None
    annotated: bool
    prerelease: bool


@dataclass(frozen=True, slots=True)
class Releases:
    """tags: of any name. versions: those that are versions, and how many are pre-releases.

    latest: the last ones up to `as_of`, the newest first. recent: versions of the last year.
    median_gap: days between days with versions, None for less than two such days.
    """

    tags: int
    versions: int
    prereleases: int
    annotated: int
    latest: tuple[Release, ...]
    recent: int
    median_gap: float | None


class Tags:
    """Counts tags as they come. most: how many there may be."""

    def __init__(self, as_of: int, most: int) -> None:
        self._as_of = as_of
        self._most = most
        self._count = 0
        self._found: list[Release] = []

    def __repr__(self) -> str:
        return f"<Tags {self._count} versions={len(self._found)}>"

    def add(self, line: bytes) -> None:
        """Count one, as `FORMAT` says it. Raises `Unreadable` for what is none."""
        words = line.split(b" ", 3)
        if len(words) != len(FORMAT.split(" ")):
            raise Unreadable("git says what is no tag")
        kind, of, at, name = words
        self._count += 1
        if self._count > self._most:
            raise Unreadable(f"there are more than {self._most} tags")
        version = _VERSION.fullmatch(name)
        if version is None or (kind, of) not in {(b"commit", b""), (b"tag", b"commit")}:
            return
        before = _BEFORE.match(version["rest"] or b"") is not None
        dated = int(at) if at.isdigit() and len(at) < 20 else 0
        self._found.append(Release(readable(name), dated or None, kind == b"tag", before))

    def releases(self) -> Releases:
        """What has been counted."""
        dated = sorted(
            ((one.at, one) for one in self._found if one.at is not None and one.at <= self._as_of),
            key=lambda item: (-item[0], item[1].tag),
        )
        return Releases(
            self._count,
            len(self._found),
            sum(one.prerelease for one in self._found),
            sum(one.annotated for one in self._found),
            latest=tuple(one for _, one in dated[:_LATEST]),
            recent=sum(self._as_of - at < YEAR for at, _ in dated),
            median_gap=median_gap({at // DAY for at, _ in dated}),
        )
