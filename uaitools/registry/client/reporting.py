"""Tells the registry now and then what was seen of instances."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Final

from uaitools.registry.observation import Observation

_JITTER: Final = 0.2  # proxies that began together must not report together


async def report_for_ever(
    take: Callable[[], Sequence[Observation]],
    observe: Callable[[Sequence[Observation]], None],
    every: Callable[[], float],
) -> None:
    """Every `every()` seconds, a fifth more or less, hand what `take` gives to `observe`."""
    while True:
        await asyncio.sleep(every() * random.uniform(1.0 - _JITTER, 1.0 + _JITTER))  # noqa: S311 - no secret
        if seen := take():
            observe(seen)
