"""All that a clone told, and what it could not tell. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from uaitools.insight.analysis.files import Files
from uaitools.insight.analysis.history import History
from uaitools.insight.analysis.licenses import License
from uaitools.insight.analysis.releases import Releases

Why = Literal[
    "borrowed", "detached", "empty", "partial", "shallow", "undated", "unreadable", "untagged"
]


@dataclass(frozen=True, slots=True)
class Limitation:
    """Why something is unknown, or is to be read with care. says: what, in a sentence."""

    why: Why
    says: str


@dataclass(frozen=True, slots=True)
class Head:
    """What was analysed. commit: None in a clone without commits.

    branch: None where HEAD is detached. at: unix seconds, None if git does not tell.
    """

    commit: str | None
    branch: str | None
    at: int | None


@dataclass(frozen=True, slots=True)
class Facts:
    """Each part is None where it is unknown; `limitations` says why. as_of: unix seconds."""

    as_of: int
    head: Head
    history: History | None
    releases: Releases | None
    files: Files | None
    license: License | None
    limitations: tuple[Limitation, ...]
