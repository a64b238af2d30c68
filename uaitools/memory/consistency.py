"""Whether the index has what the database has: looked at from both sides, in flat memory.

What is marked in the outbox is on its way, and no fault. Mending marks the others: whoever works
on the outbox makes each what its row is at that moment, so that no writer is raced.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal
from uuid import UUID

from uaitools.memory.index.port import Held, VectorIndex
from uaitools.memory.store.differences import Differences
from uaitools.memory.store.outbox import Outbox

PAGE: Final = 1000
_SHOWN: Final = 100

Fault = Literal["ghost", "stale", "missing"]


@dataclass(frozen=True, slots=True)
class Faulty:
    """A memory whose entry is wrong.

    ghost: there is no such memory. stale: it is of an older generation. missing: there is none.
    """

    fault: Fault
    memory_id: UUID
    user_id: str


@dataclass(slots=True)
class Report:
    """What was found. held: entries of the index; rows: memories. shown: the first faults."""

    held: int = 0
    rows: int = 0
    ghosts: int = 0
    stale: int = 0
    missing: int = 0
    shown: list[Faulty] = field(default_factory=list)

    def add(self, faults: Sequence[Faulty]) -> None:
        """Count faults."""
        for one in faults:
            self.ghosts += one.fault == "ghost"
            self.stale += one.fault == "stale"
            self.missing += one.fault == "missing"
        self.shown += faults[: _SHOWN - len(self.shown)]


class Consistency:
    """Compares an index with the database."""

    __slots__ = ("_differences", "_index", "_outbox")

    def __init__(self, differences: Differences, outbox: Outbox, index: VectorIndex) -> None:
        self._differences = differences
        self._outbox = outbox
        self._index = index

    def __repr__(self) -> str:
        return f"<Consistency {self._index!r}>"

    async def check(self, *, repair: bool = False) -> Report:
        """Look at everything. repair: mark what is wrong. Raises IndexAway."""
        report = Report()
        async for page in self._held():
            report.held += len(page)
            found = await self._differences.of_index(page)
            await self._note(report, [Faulty(*one) for one in found], repair=repair)
        async for user in self._differences.users():
            held = {one.id async for one in self._index.ids(user)}
            async for rows in self._differences.rows(user):
                report.rows += len(rows)
                lacking = [name for name in rows if name not in held]
                # Looked up again: it may have been marked, or followed, in the meantime.
                lacking = await self._differences.unmarked(user, lacking)
                faults = [Faulty("missing", name, user) for name in lacking]
                await self._note(report, faults, repair=repair)
        return report

    async def _held(self) -> AsyncIterator[list[Held]]:
        page: list[Held] = []
        async for one in self._index.ids():
            page.append(one)
            if len(page) == PAGE:
                yield page
                page = []
        if page:
            yield page

    async def _note(self, report: Report, faults: list[Faulty], *, repair: bool) -> None:
        report.add(faults)
        if repair and faults:
            await self._outbox.mark([(one.user_id, one.memory_id) for one in faults])
