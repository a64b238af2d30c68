"""When a worker that died is replaced: soon at first, then less and less often, at last no more."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Restarts:
    """When a worker that died is replaced, in seconds.

    first: pause after a death, doubled by each one that follows, up to `longest`. lived: a worker
    that reached this age had no quick death. deaths: quick ones in a row that are the last.
    """

    first: float = 0.1
    longest: float = 10.0
    lived: float = 60.0
    deaths: int = 10

    def pause(self, deaths: int) -> float | None:
        """Seconds until the next start after so many quick deaths in a row; None: no more."""
        if deaths >= self.deaths:
            return None
        return min(self.first * 2.0 ** min(deaths - 1, 30), self.longest)
