"""Memories that an older version has analysed are analysed again, some at a time."""

from __future__ import annotations

from typing import Final

from uaitools.memory.rounds import Rounds
from uaitools.memory.store.analyses import Analyses

EVERY: Final = 60.0  # seconds: while programs are updated, older ones still write
SLICE: Final = 100  # memories in a transaction


class Analysing:
    """Does it until it is stopped. analysed: how many there were."""

    def __init__(self, analyses: Analyses) -> None:
        self.analysed = 0
        self._analyses = analyses
        self._rounds = Rounds(self._catch_up, EVERY, "analyse memories")

    def __repr__(self) -> str:
        return f"<Analysing analysed={self.analysed}>"

    async def start(self) -> None:
        """Do it from now on."""
        await self._rounds.start()

    async def stop(self) -> None:
        """Leave the rest for the next time."""
        await self._rounds.stop()

    async def _catch_up(self) -> None:
        while count := await self._analyses.renew(SLICE):
            self.analysed += count
