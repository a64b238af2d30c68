"""Ranking files, looked at before anything is begun."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from uaitools.insight.importing.errors import Refused
from uaitools.insight.rankings.days import day_of
from uaitools.insight.rankings.reading import Reading

_BLOCK: Final = 1 << 18  # bytes that are read at once


@dataclass(frozen=True, slots=True)
class RankingFile:
    """A file, the day that it is of, and the SHA-256 of what is in it."""

    path: Path
    day: date
    digest: bytes

    @property
    def name(self) -> str:
        """Its own, without directories; what is no UTF-8 is replaced."""
        return os.fsencode(self.path.name).decode("utf-8", "replace")

    @contextmanager
    def reading(self) -> Iterator[Reading]:
        """Its rows. Raises OSError."""
        with self.path.open("rb") as file:
            yield Reading(iter(lambda: file.read(_BLOCK), b""), str(self.path), self.day)


def ranking_files(paths: Iterable[Path]) -> Sequence[RankingFile]:
    """Files by their days, each content once. Raises Refused with what is wrong of all of them."""
    found: dict[tuple[date, bytes], RankingFile] = {}
    problems = []
    for path in paths:
        try:
            day = day_of(path.name)
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").digest()
        except OSError as error:
            problems.append(f"{path}: {error.strerror}")
        except ValueError as error:
            problems.append(f"{path}: {error}")
        else:
            found.setdefault((day, digest), RankingFile(path, day, digest))
    if problems:
        raise Refused(problems)
    return sorted(found.values(), key=lambda one: (one.day, one.digest))
