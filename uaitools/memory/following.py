"""The index follows the rows: what is marked in the outbox is embedded, and put where it is found.

Each memory is made what its row is at that moment, so that neither the order of changes matters
nor whether one is done twice. What fails is tried again, ever more seldom, for as long as it takes.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from typing import Final
from uuid import UUID

import numpy as np

from uaitools import log
from uaitools.backoff import full_jitter
from uaitools.errors import ServiceError
from uaitools.memory.embed.port import Embedder
from uaitools.memory.index.port import Entry, VectorIndex
from uaitools.memory.store.embeddings import Content, Embeddings
from uaitools.memory.store.outbox import Claim, Outbox
from uaitools.tasks import WorkerPool, spawn

BATCH: Final = 64  # memories that are embedded together
WORKERS: Final = 2
_ROUND: Final = 2.0  # seconds between two looks for what other processes have marked
_LARGEST_PAUSE: Final = 60.0
_OTHERS: Final = 500  # of another model, that are marked at once

_log = log.get_logger(__name__)


class Following:
    """Works on the outbox until it is stopped. failing: the last batch could not be done."""

    def __init__(
        self, outbox: Outbox, embeddings: Embeddings, embedder: Embedder, index: VectorIndex
    ) -> None:
        self.failing = False
        self.followed = 0
        self._outbox = outbox
        self._embeddings = embeddings
        self._embedder = embedder
        self._index = index
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Following followed={self.followed} failing={self.failing}>"

    async def start(self) -> None:
        """Follow from now on, beginning with what was left."""
        self._task = spawn(self._run(), name="follow memories")

    async def stop(self) -> None:
        """Leave what is marked to the next one."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    def notify(self) -> None:
        """Something has been marked."""
        self._news.set()

    async def follow(self) -> int:
        """Do one batch of what is marked; how many there were."""
        claims = await self._outbox.claim(BATCH)
        if not claims:
            return 0
        try:
            await self._reconcile(claims)
        except ServiceError as error:
            self.failing = True
            attempts = max(one.attempts for one in claims)
            pause = full_jitter(attempts, random.random(), first=0.5, largest=_LARGEST_PAUSE)  # noqa: S311
            _log.warning("index is behind", memories=len(claims), reason=str(error))
            await self._outbox.failed(claims, pause)
        else:
            self.failing = False
            await self._outbox.done(claims)
        return len(claims)

    async def _run(self) -> None:
        model = str(self._embedder.model)
        while True:
            self._news.clear()
            try:
                async with WorkerPool(WORKERS, WORKERS, name="follow") as pool:
                    while sum(
                        await asyncio.gather(*(pool.submit(self.follow) for _ in range(WORKERS)))
                    ) or await self._outbox.mark_others(model, _OTHERS):
                        pass
            except ServiceError as error:  # the database itself
                self.failing = True
                _log.warning("index is behind", reason=str(error))
            with suppress(TimeoutError):
                async with asyncio.timeout(_ROUND):
                    await self._news.wait()

    async def _reconcile(self, claims: Sequence[Claim]) -> None:
        contents = await self._embeddings.contents([one.memory_id for one in claims])
        there = {one.id for one in contents}
        gone: dict[str, list[UUID]] = defaultdict(list)
        for claim in claims:
            if claim.memory_id not in there:
                gone[claim.user_id].append(claim.memory_id)
        for user, names in gone.items():
            await self._index.delete(user, names)
        if contents:
            await self._index.upsert(await self._entries(contents))
        self.followed += len(claims)

    async def _entries(self, contents: Sequence[Content]) -> list[Entry]:
        """What the index is to have, with vectors that are kept first."""
        new = [one for one in contents if one.vector is None]
        made: dict[UUID, bytes] = {}
        if new:
            matrix = await self._embedder.embed([one.content for one in new])
            for one, vector in zip(new, matrix, strict=True):
                made[one.id] = vector.astype("<f4").tobytes()
            await self._embeddings.keep([(one.id, one.generation, made[one.id]) for one in new])
        return [
            Entry(
                one.id,
                one.user_id,
                one.generation,
                np.frombuffer(made.get(one.id) or one.vector or b"", "<f4"),
            )
            for one in contents
        ]
