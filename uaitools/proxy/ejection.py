"""The news that an endpoint was taken out, as one worker tells the others."""

from __future__ import annotations

from dataclasses import dataclass

from uaitools.traffic.breaker import Cause


@dataclass(frozen=True, slots=True)
class Ejection:
    """An endpoint was taken out; `until` is on the host's monotonic clock, common to workers."""

    service: str
    address: str
    cause: Cause
    until: float
