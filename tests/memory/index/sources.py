"""Where vectors are kept in tests: a dictionary in the place of PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from uuid import UUID

from uaitools.memory.index.entries import FLOAT, parts
from uaitools.memory.index.local import LocalIndex
from uaitools.memory.index.port import Entry, Held, Hit, Slice, Vector


class DictSource:
    """A VectorSource. A reading is of one moment, as a statement of PostgreSQL is.

    gate: while it is not set, readings wait after their first slice. loads: users who were read.
    """

    def __init__(self) -> None:
        self.entries: dict[tuple[str, UUID], Entry] = {}
        self.gate = asyncio.Event()
        self.gate.set()
        self.loads: list[str] = []
        self.open = 0  # readings under way

    async def load(self, user: str, dimension: int, most: int) -> AsyncGenerator[Slice, None]:
        self.loads.append(user)
        rows = [
            entry
            for entry in self.entries.values()
            if entry.user == user and entry.vector.shape == (dimension,)
        ]
        self.open += 1
        try:
            for some in parts(rows, most):
                yield slice_of(some)
                await self.gate.wait()
            await self.gate.wait()
        finally:
            self.open -= 1

    async def held(self, user: str | None) -> AsyncIterator[Held]:
        for entry in list(self.entries.values()):
            if user in (None, entry.user):
                yield Held(entry.id, entry.user, entry.generation)

    def put(self, *entries: Entry) -> None:
        for entry in entries:
            there = self.entries.get((entry.user, entry.id))
            if there is None or there.generation <= entry.generation:
                self.entries[entry.user, entry.id] = entry

    def drop(self, user: str, *ids: UUID) -> None:
        for one in ids:
            self.entries.pop((user, one), None)


def slice_of(entries: Sequence[Entry]) -> Slice:
    vectors = b"".join(one.vector.astype(FLOAT).tobytes() for one in entries)
    return Slice([one.id for one in entries], [one.generation for one in entries], vectors)


class WrittenThrough:
    """A LocalIndex whose source gets each change first, as PostgreSQL does."""

    name = "local"

    def __init__(self, source: DictSource, index: LocalIndex) -> None:
        self._source = source
        self._index = index
        self.start = index.start
        self.stop = index.stop
        self.ids = index.ids
        self.health = index.health

    async def upsert(self, entries: Sequence[Entry]) -> None:
        await self._index.upsert(entries)  # which refuses what is no vector of its model
        self._source.put(*entries)
        await self._index.upsert(entries)

    async def delete(self, user: str, ids: Sequence[UUID]) -> None:
        self._source.drop(user, *ids)
        await self._index.delete(user, ids)

    async def delete_scope(self, user: str) -> int:
        count = await self._index.delete_scope(user)
        self._source.drop(
            user, *(one for owner, one in list(self._source.entries) if owner == user)
        )
        return count

    async def search(
        self, user: str, vector: Vector, limit: int, among: Sequence[UUID] | None = None
    ) -> list[Hit]:
        return await self._index.search(user, vector, limit, among)
