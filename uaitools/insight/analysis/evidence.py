"""What a statement rests on. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was found, and where: a path in the tree of a commit, or the commit itself.

    count: of what `says` counts.
    """

    says: str
    path: str | None = None
    commit: str | None = None
    count: int | None = None
