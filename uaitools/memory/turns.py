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


class Turn:
    """What one holds the loop for; whoever asks between its steps passes it on after SLICE."""

    __slots__ = ("_until",)

    def __init__(self) -> None:
        self._until = monotonic() + SLICE

    def __repr__(self) -> str:
        return f"<Turn left={self._until - monotonic():.4f}>"

    async def step(self) -> None:
        """Others have the loop for a turn, if this one is over."""
        if monotonic() > self._until:
            await asyncio.sleep(0)
            self._until = monotonic() + SLICE


async def in_turns(steps: Iterable[object]) -> None:
    """Go through all steps; others have the loop for a turn after every SLICE seconds."""
    turn = Turn()
    for _ in steps:
        await turn.step()
