"""How often something may come from one connection: GCRA (ITU-T I.371) with one time. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """`rate` a second, `burst` at once."""

    rate: float
    burst: int

    def admit(self, full: float, now: float) -> float | None:
        """When the bucket is full again if one more comes; None when it may not.

        full: what this said last, 0 before. now: seconds, of the same clock.
        """
        after = max(full, now) + 1 / self.rate
        return after if after - now <= self.burst / self.rate + 1e-9 else None

    def delay(self, full: float, now: float) -> tuple[float, float]:
        """Seconds until one more may come, which is counted; and when the bucket is full then."""
        after = max(full, now) + 1 / self.rate
        return max(0.0, after - now - self.burst / self.rate), after
