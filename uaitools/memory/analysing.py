"""Memories that an older version has analysed are analysed again, some at a time."""

from __future__ import annotations

from typing import Final

from uaitools.memory.store.analyses import Analyses
from uaitools.rounds import Rounds

EVERY: Final = 60.0  # seconds: while programs are updated, older ones still write
SLICE: Final = 100  # memories in a transaction


class Analysing(Rounds):
    """Does it until it is stopped. analysed: how many there were."""

    def __init__(self, analyses: Analyses) -> None:
        super().__init__(self._catch_up, EVERY, "analyse memories")
        self.analysed = 0
        self._analyses = analyses

    def __repr__(self) -> str:
        return f"<Analysing analysed={self.analysed}>"

    async def _catch_up(self) -> None:
        while count := await self._analyses.renew(SLICE):
            self.analysed += count
