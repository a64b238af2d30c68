"""Which memories of a user are wanted. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Wanted:
    """All that hold at once; what is None or empty does not matter.

    types: any of them. any_tags, all_tags, no_tags: of those that a memory has. metadata: see
    uaitools.filters. Times: from the first, before the second. superseded: those that
    another one contradicts as well.
    """

    types: Sequence[str] = ()
    any_tags: Sequence[str] = ()
    all_tags: Sequence[str] = ()
    no_tags: Sequence[str] = ()
    metadata: Mapping[str, Any] | None = None
    agent_id: str | None = None
    session_id: str | None = None
    external_id: str | None = None
    pinned: bool | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    updated_after: datetime | None = None
    updated_before: datetime | None = None
    superseded: bool = False

    @property
    def narrow(self) -> bool:
        """Whether some of a user's live memories are not wanted."""
        return self != Wanted(superseded=self.superseded)
