"""How much memory the hub takes, and what follows from it. Pure but for reading /proc."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any, Final

FULL: Final = 0.85  # of the limit: no more connections
OVER: Final = 0.95  # of the limit: who is furthest behind goes
_ENOUGH: Final = 100  # connections for an average
_TRIM: Final = 10.0  # seconds between two times that memory is given back: it takes a while
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


def resident() -> int:
    """Bytes of memory that this process takes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE


def give_back() -> None:
    """Have the allocator give what it keeps for later back to the system, where it can (glibc)."""
    trim: Any = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


class Budget:
    """What a process may take. limit: bytes, None for any. used: bytes, when it was last looked.

    empty: bytes that were taken before the first connection.
    """

    __slots__ = ("_clock", "_trimmed", "empty", "limit", "used")

    def __init__(self, limit: int | None, *, clock: Callable[[], float] = monotonic) -> None:
        self.limit = limit
        self._clock = clock
        self._trimmed = -_TRIM
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
            # What clients that have gone had is still counted: without this nobody could come.
            if self.full and self._clock() - self._trimmed >= _TRIM:
                self._trimmed = self._clock()
                give_back()
                self.used = resident()

    def each(self, connections: int) -> int:
        """Bytes that a connection takes, on average; 0 below 100, which tell nothing."""
        return max(0, self.used - self.empty) // connections if connections >= _ENOUGH else 0
