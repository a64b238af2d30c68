"""The index follows the rows: what is marked in the outbox is embedded, and put where it is found.

Each memory is made what its row is at that moment, so that neither the order of changes matters
nor whether one is done twice. What fails is tried again, ever more seldom, for as long as it takes.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Sequence
from math import inf
from time import monotonic
from typing import Final
from uuid import UUID

import numpy as np

from uaitools import log
from uaitools.backoff import full_jitter
from uaitools.errors import ServiceError
from uaitools.memory.embed.errors import EmbedderRefused
from uaitools.memory.embed.port import Embedder
from uaitools.memory.index.port import Entry, VectorIndex
from uaitools.memory.index_watch import EVERY as LOOKS
from uaitools.memory.index_watch import IndexWatch
from uaitools.memory.others import Others
from uaitools.memory.store.embeddings import Content, Embeddings
from uaitools.memory.store.outbox import Claim, Outbox
from uaitools.rounds import Rounds
from uaitools.tasks import WorkerPool

BATCH: Final = 64  # memories that are embedded together
WORKERS: Final = 2
_ROUND: Final = 2.0  # seconds between two looks for what other processes have marked
# Seconds. At 200 creates a second it spares two thirds of the CPU, here and in PostgreSQL.
_REST: Final = 0.05
_LARGEST_PAUSE: Final = 60.0
_OTHERS: Final = 500  # of another model, that are marked at once

_log = log.get_logger(__name__)


class Following(Rounds):
    """Works on the outbox until it is stopped. failing: the last batch could not be done."""

    def __init__(
        self,
        outbox: Outbox,
        embeddings: Embeddings,
        embedder: Embedder,
        index: VectorIndex,
        others: Others,
        *,
        watch: IndexWatch,
    ) -> None:
        super().__init__(self._catch_up, _ROUND, "follow memories", _REST)
        self.failing = False
        self.followed = 0
        self._outbox = outbox
        self._embeddings = embeddings
        self._embedder = embedder
        self._index = index
        self._others = others
        self._watch = watch
        # There may be some that another embedder has followed; one that still runs leaves them to
        # us as soon as it looks.
        self._strange = True
        self._last_look = monotonic() + 2 * LOOKS

    def __repr__(self) -> str:
        return f"<Following followed={self.followed} failing={self.failing}>"

    async def follow(self) -> int:
        """Do one batch of what is marked; how many there were."""
        claims = await self._outbox.claim(BATCH)
        if claims:
            await self._follow(claims)
        return len(claims)

    async def _follow(self, claims: Sequence[Claim]) -> None:
        try:
            await self._reconcile(claims)
        except EmbedderRefused as error:
            if len(claims) == 1:
                await self._put_off(claims, error)
                return
            for one in claims:  # the text that is refused keeps no other from being embedded
                await self._follow((one,))
        except ServiceError as error:
            await self._put_off(claims, error)
        else:
            self.failing = False
            self.followed += len(claims)
            await self._outbox.done(claims)

    async def _put_off(self, claims: Sequence[Claim], error: ServiceError) -> None:
        self.failing = True
        attempts = max(one.attempts for one in claims)
        pause = full_jitter(attempts, random.random(), first=0.5, largest=_LARGEST_PAUSE)  # noqa: S311 - no secret
        _log.warning("index is behind", memories=len(claims), reason=str(error))
        await self._outbox.failed(claims, pause)

    async def _catch_up(self) -> None:
        if self._watch.foreign:
            return  # whoever has begun since does it
        async with WorkerPool(WORKERS, WORKERS, name="follow") as pool:
            while (
                BATCH in await asyncio.gather(*(pool.submit(self.follow) for _ in range(WORKERS)))
                or await self._mark_others()
            ):
                pass

    async def _mark_others(self) -> int:
        """Mark some memories that another embedder has followed; how many.

        That takes a look at all of them, and is done until there are none, and then once more: what
        is written since is marked when it is written.
        """
        late = monotonic() > self._last_look
        if not self._strange and not late:
            return 0
        marked = await self._outbox.mark_others(str(self._embedder.model), _OTHERS)
        self._strange = marked > 0
        if late and not marked:
            self._last_look = inf
        return marked

    async def _reconcile(self, claims: Sequence[Claim]) -> None:
        claimed = [(one.user_id, one.memory_id) for one in claims]
        contents = await self._embeddings.contents(claimed)
        there = {(one.user_id, one.id) for one in contents}
        gone: dict[str, list[UUID]] = defaultdict(list)
        for user, name in claimed:
            if (user, name) not in there:
                gone[user].append(name)
        for user, names in gone.items():
            await self._index.delete(user, names)
        if contents:
            await self._index.upsert(await self._entries(contents))
        await self._others.tell([one.user_id for one in claims])

    async def _entries(self, contents: Sequence[Content]) -> list[Entry]:
        """What the index is to have, with vectors that are kept first."""
        new = [one for one in contents if one.vector is None]
        made: list[bytes] = []
        if new:
            matrix = await self._embedder.embed([one.content for one in new])
            made = [vector.astype("<f4").tobytes() for vector in matrix]
            await self._embeddings.keep(
                [
                    (one.user_id, one.id, one.generation, vector)
                    for one, vector in zip(new, made, strict=True)
                ]
            )
        vectors = iter(made)
        return [
            Entry(
                one.id,
                one.user_id,
                one.generation,
                np.frombuffer(next(vectors) if one.vector is None else one.vector, "<f4"),
            )
            for one in contents
        ]
