"""Paths of a commit's tree into what a repository has. Pure.

Of a link its name counts, and of a submodule that it is there; neither is followed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from uaitools.insight.analysis.conventions import Kind, is_test, kind
from uaitools.insight.analysis.errors import Unreadable
from uaitools.insight.analysis.languages import language, vendored
from uaitools.insight.analysis.texts import readable

_KEPT: Final = 20  # of each kind, by name; all are counted
_LINK: Final = b"120000"
_SUBMODULE: Final = b"160000"


@dataclass(frozen=True, slots=True)
class Found:
    """A file of some kind. label: the system or tool it is of. bytes: None if it is not there."""

    path: str
    label: str
    object: str
    bytes: int | None


@dataclass(frozen=True, slots=True)
class Language:
    """What so many files, which have so many bytes, are written in."""

    name: str
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Files:
    """The files of a commit.

    files: all but links and submodules. bytes: of them, None if some are not there (`unsized`).
    languages: most bytes first, without what others wrote (`vendored`); None as `bytes`.
    code, tests: programs, and those of them that are tests. found: of each kind the first ones by
    path; counts: how many.
    """

    files: int
    bytes: int | None
    unsized: int
    links: int
    submodules: int
    vendored: int
    largest: Found | None
    languages: tuple[Language, ...] | None
    code: int
    tests: int
    first_test: str | None
    main: str | None
    found: Mapping[Kind, tuple[Found, ...]] = field(default_factory=dict)
    counts: Mapping[Kind, int] = field(default_factory=dict)

    def of(self, what: Kind) -> tuple[Found, ...]:
        """Files of a kind."""
        return self.found.get(what, ())

    def count(self, what: Kind) -> int:
        """How many files are of a kind."""
        return self.counts.get(what, 0)

    def labels(self, what: Kind) -> tuple[str, ...]:
        """The systems or tools of a kind."""
        return tuple(sorted({one.label for one in self.of(what)}))


class Tree:
    """Takes the entries of a tree as they come. most: how many there may be."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._entries = self._files = self._bytes = self._unsized = 0
        self._links = self._submodules = self._vendored = self._code = self._tests = 0
        self._largest: Found | None = None
        self._first_test: str | None = None
        self._languages: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        self._found: dict[Kind, list[Found]] = defaultdict(list)
        self._counts: Counter[Kind] = Counter()

    def __repr__(self) -> str:
        return f"<Tree files={self._files} code={self._code} tests={self._tests}>"

    def add(self, entry: bytes) -> None:
        """Count one, as `git ls-tree -r -l` says it. Raises `Unreadable` for what is none."""
        head, _, path = entry.partition(b"\t")
        words = head.split()
        if len(words) != 4 or not path:
            raise Unreadable("git says what is no file")
        self._entries += 1
        if self._entries > self._most:
            raise Unreadable(f"there are more than {self._most} files")
        mode, _, name, size = words
        if mode == _SUBMODULE:
            self._submodules += 1
        elif mode == _LINK:
            self._links += 1
        else:
            known = int(size) if size.isdigit() else None
            self._file(path, name.decode("ascii", "replace"), known)

    def files(self) -> Files:
        """What has been counted."""
        known = self._unsized == 0
        languages = sorted(
            (Language(name, files, held) for name, (files, held) in self._languages.items()),
            key=lambda one: (-one.bytes, -one.files, one.name),
        )
        return Files(
            self._files,
            self._bytes if known else None,
            self._unsized,
            self._links,
            self._submodules,
            self._vendored,
            self._largest,
            tuple(languages) if known else None,
            self._code,
            self._tests,
            self._first_test,
            main=max(languages, key=lambda one: (one.files, one.name)).name if languages else None,
            found={what: tuple(some) for what, some in sorted(self._found.items())},
            counts=dict(sorted(self._counts.items())),
        )

    def _file(self, path: bytes, name: str, size: int | None) -> None:
        text = path.decode("utf-8", "replace")
        lower = text.lower()
        self._files += 1
        self._bytes += size or 0
        self._unsized += size is None
        if size is not None and (self._largest is None or size > (self._largest.bytes or 0)):
            self._largest = Found(readable(path), "", name, size)
        written_in = language(lower)
        if vendored(lower):
            self._vendored += 1
        elif written_in is not None:
            self._program(written_in, text, size or 0)
        named = kind(lower, code=written_in is not None)
        if named is not None:
            what, label = named
            self._counts[what] += 1
            if len(self._found[what]) < _KEPT:
                self._found[what].append(Found(readable(path), label, name, size))

    def _program(self, written_in: str, path: str, size: int) -> None:
        self._code += 1
        told = self._languages[written_in]
        told[0] += 1
        told[1] += size
        if is_test(path):
            self._tests += 1
            self._first_test = self._first_test or readable(path.encode("utf-8", "replace"))
