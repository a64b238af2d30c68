"""Long walks, in slices: the loop is never held for long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Final, TypeVar

SLICE: Final = 0.004  # seconds
LOOK: Final = 32  # items between two looks at the clock

T = TypeVar("T")


async def in_slices(items: Iterable[T], action: Callable[[T], object]) -> None:
    """Do something with each; others have the loop for a turn after every SLICE seconds.

    items: must bear that others have the loop meanwhile; a list does.
    """
    until = monotonic() + SLICE
    for count, item in enumerate(items, start=1):
        action(item)
        if count % LOOK == 0 and monotonic() > until:
            await asyncio.sleep(0)
            until = monotonic() + SLICE
