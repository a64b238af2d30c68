"""The index in this process: exact, and made of what PostgreSQL keeps when it is asked for."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import Final, Protocol
from uuid import UUID

import numpy as np

from uaitools.memory.index.best import Best
from uaitools.memory.index.changes import Changes
from uaitools.memory.index.config import ROOM
from uaitools.memory.index.entries import FLOAT, checked
from uaitools.memory.index.port import Entry, Held, Hit, Slice, Vector
from uaitools.memory.index.scope import OVERHEAD, ROW, Scope, rows_of_block
from uaitools.memory.index.scopes import Scopes
from uaitools.memory.shares import Shares
from uaitools.tasks import spawn

_NOTED: Final = 4096  # users of whom it is remembered that they do not fit
_READERS: Final = 4  # read at once: each may take `room` bytes until it is kept, and a connection
_SHARE: Final = _READERS // 2  # of them that one user has


class VectorSource(Protocol):
    """Where vectors are kept: those of one model. A change is there before the index is told.

    Both are generators that read in pages.
    """

    def load(self, user: str, dimension: int, most: int) -> AsyncGenerator[Slice, None]:
        """The vectors of a user that have this dimension; so many at once, and fewer at the end."""

    def held(self, user: str | None) -> AsyncIterator[Held]:
        """What there is of a user, or of all."""


class LocalIndex:
    """Scans the vectors of one user, which are kept while there is room: `room` bytes for all.

    A scope that is larger than that is read at each search, slice by slice, in flat memory. What
    other processes write is not seen while a scope is kept: `forget` it then, and say to `listen`
    while nobody would tell, or nothing may be kept.
    """

    name: Final = "local"

    def __init__(self, source: VectorSource, dimension: int, room: int = ROOM) -> None:
        self._source = source
        self._dimension = dimension
        self._scopes = Scopes(room)
        self._hears = True
        self._large: OrderedDict[str, None] = OrderedDict()
        self._loads: dict[str, asyncio.Task[Scope | None]] = {}
        self._readings: dict[str, list[Changes]] = {}
        self._readers = asyncio.Semaphore(_READERS)
        self._shares = Shares(_SHARE)

    def __repr__(self) -> str:
        return f"<LocalIndex {self._scopes!r} loads={len(self._loads)} large={len(self._large)}>"

    async def start(self) -> None:
        """Nothing is to be prepared."""

    async def stop(self) -> None:
        """End what is being read, and keep nothing."""
        loads = list(self._loads.values())
        for load in loads:
            load.cancel()
        await asyncio.gather(*loads, return_exceptions=True)
        self._scopes.clear()

    async def upsert(self, entries: Sequence[Entry]) -> None:
        """Take in what the source has by now."""
        for entry in entries:
            vector = checked(entry.vector, self._dimension)
            patch = Entry(entry.id, entry.user, entry.generation, vector)
            for changes in self._readings.get(entry.user, ()):
                changes.put(patch)
            scope = self._scopes.peek(entry.user)
            if scope is not None:
                scope.put(patch)
                self._keep(entry.user, scope)

    async def delete(self, user: str, ids: Sequence[UUID]) -> None:
        """Forget what the source has no more."""
        for changes in self._readings.get(user, ()):
            changes.drop(ids)
        scope = self._scopes.peek(user)
        if scope is None:
            return
        for one in ids:
            scope.drop(one)
        if scope.worn:
            self._scopes.forget(user)

    async def delete_scope(self, user: str) -> int:
        """Forget a user. The count is of what is kept here, else of what the source still has."""
        scope = self._scopes.forget(user)
        for changes in self._readings.get(user, ()):
            changes.empty()
        self._large.pop(user, None)
        if scope is not None:
            return len(scope)
        count = 0
        async for _ in self._source.held(user):
            count += 1
        return count

    async def search(
        self, user: str, vector: Vector, limit: int, among: Sequence[UUID] | None = None
    ) -> list[Hit]:
        """The nearest of a user, exactly. Raises what the source does."""
        vector = checked(vector, self._dimension)
        if limit < 1 or not vector.any() or (among is not None and not among):
            return []
        scope = self._scopes.get(user)
        if scope is None:
            scope = await self._loaded(user)
        if scope is None:
            return await self._scan(user, vector, limit, among)
        best = Best(limit)
        for _ in scope.weigh(best, vector, among):
            await asyncio.sleep(0)  # others have their turn after each block
        return scope.hits(best)

    async def ids(self, user: str | None = None) -> AsyncIterator[Held]:
        """What the source has: nothing else can be found here."""
        async for held in self._source.held(user):
            yield held

    async def health(self) -> bool:
        """It is there as long as the process is."""
        return True

    def forget(self, user: str) -> None:
        """Read a user's vectors anew when they are next searched."""
        self._scopes.forget(user)
        load = self._loads.pop(user, None)
        if load is not None:
            load.add_done_callback(lambda _: self._scopes.forget(user))

    def listen(self, *, hears: bool) -> None:
        """Whether who changes vectors elsewhere is heard of from now on; nothing is kept else."""
        self._hears = hears
        for user in list(self._loads):  # which may have read what is old by now
            self.forget(user)
        self._scopes.clear()

    async def _loaded(self, user: str) -> Scope | None:
        """The vectors of a user, read once for all who wait for them; None if they do not fit."""
        if user in self._large:
            return None
        load = self._loads.get(user)
        if load is None:
            load = self._loads[user] = spawn(self._load(user), name="memory index load")
        return await asyncio.shield(load)  # who gives up leaves it to those who still wait

    async def _load(self, user: str) -> Scope | None:
        scope = Scope(self._dimension)
        try:
            async with self._reader(user), aclosing(self._slices(user)) as slices:
                with self._reading(user) as changes:
                    async for some in slices:
                        scope.extend(some)
                        await asyncio.sleep(0)
                        if scope.size > self._scopes.most:
                            self._note_large(user)
                            return None
                    scope = changes.applied(scope)
                    self._keep(user, scope)
                    return scope
        finally:
            if self._loads.get(user) is asyncio.current_task():
                del self._loads[user]

    async def _scan(
        self, user: str, vector: Vector, limit: int, among: Sequence[UUID] | None
    ) -> list[Hit]:
        wanted = None if among is None else frozenset(among)
        best: list[Hit] = []
        size = OVERHEAD
        async with self._reader(user), aclosing(self._slices(user)) as slices:
            with self._reading(user) as changes:
                async for some in slices:
                    size += len(some.ids) * ROW + len(some.vectors)
                    best = _merged(best, some, wanted, vector, limit)
                    await asyncio.sleep(0)
                best = [hit for hit in best if not changes.gone(hit.id)]
        if size <= self._scopes.most:
            self._large.pop(user, None)  # it has become smaller: the next search keeps it
        return best

    def _slices(self, user: str) -> AsyncGenerator[Slice, None]:
        """The vectors of a user, a block at a time."""
        return self._source.load(user, self._dimension, rows_of_block(self._dimension))

    @asynccontextmanager
    async def _reader(self, user: str) -> AsyncIterator[None]:
        """One of those who read at once; a user leaves some to the others. Raises Busy."""
        async with self._shares.of(user), self._readers:
            yield

    @contextmanager
    def _reading(self, user: str) -> Iterator[Changes]:
        """What changes while the block lasts."""
        changes = Changes()
        readings = self._readings.setdefault(user, [])
        readings.append(changes)
        try:
            yield changes
        finally:
            readings.remove(changes)
            if not readings:
                del self._readings[user]

    def _keep(self, user: str, scope: Scope) -> None:
        if self._hears and not self._scopes.put(user, scope):
            self._note_large(user)

    def _note_large(self, user: str) -> None:
        self._large[user] = None
        if len(self._large) > _NOTED:
            self._large.popitem(last=False)


def _merged(
    best: list[Hit], some: Slice, wanted: AbstractSet[UUID] | None, vector: Vector, limit: int
) -> list[Hit]:
    """The best of those so far and of more, or of what is wanted of these."""
    scores = np.frombuffer(some.vectors, FLOAT).reshape(len(some.ids), -1) @ vector
    rows = np.arange(len(some.ids))
    if wanted is not None:
        rows = rows[[one in wanted for one in some.ids]]
    found = Best(limit)
    found.offer(rows, scores[rows])
    both = best + [Hit(some.ids[row], score) for row, score in found]
    return sorted(both, key=lambda hit: -hit.score)[:limit]
