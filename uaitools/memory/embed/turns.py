"""Long work in short steps: the loop is never held for long.

A thread would not do: it would run most of it with the interpreter's lock, and the loop would wait
up to 5 ms for that lock after every time it has slept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from time import monotonic
from typing import Final

SLICE: Final = 0.002  # seconds; a request of a few turns is then delayed by less than 10 ms


async def in_turns(steps: Iterable[object]) -> None:
    """Go through all steps; others have the loop for a turn after every SLICE seconds."""
    until = monotonic() + SLICE
    for _ in steps:
        if monotonic() > until:
            await asyncio.sleep(0)
            until = monotonic() + SLICE
