"""How much memory the hub takes, and what follows from it. Pure but for reading /proc."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

FULL: Final = 0.85  # of the limit: no more connections
OVER: Final = 0.95  # of the limit: who is furthest behind goes
_ENOUGH: Final = 100  # connections for an average
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


def resident() -> int:
    """Bytes of memory that this process takes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE


class Budget:
    """What a process may take. limit: bytes, None for any. used: bytes, when it was last looked.

    empty: bytes that were taken before the first connection.
    """

    __slots__ = ("empty", "limit", "used")

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self.used = self.empty = resident()

    def __repr__(self) -> str:
        return f"<Budget used={self.used} limit={self.limit}>"

    @property
    def full(self) -> bool:
        """Whether there is no room for more connections."""
        return self.limit is not None and self.used > FULL * self.limit

    @property
    def over(self) -> bool:
        """Whether those who are furthest behind have to go."""
        return self.limit is not None and self.used > OVER * self.limit

    def look(self) -> None:
        """Measure again; when that is not possible now, what was measured last stays."""
        with suppress(OSError):  # there may be no descriptor left for it
            self.used = resident()

    def each(self, connections: int) -> int:
        """Bytes that a connection takes, on average; 0 below 100, which tell nothing."""
        return max(0, self.used - self.empty) // connections if connections >= _ENOUGH else 0
