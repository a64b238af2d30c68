"""A search, from the words that are asked to the memories that are found.

What is found by words and by meaning are only names: the memories are read again from the
database, in the caller's scope and under the same conditions, so that no index can show what is
gone or another user's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Final
from uuid import UUID

from uaitools import log
from uaitools.memory.analysis.query import Query, query
from uaitools.memory.embed.errors import EmbedderAway
from uaitools.memory.embed.port import Embedder
from uaitools.memory.index.errors import IndexAway
from uaitools.memory.index.port import VectorIndex
from uaitools.memory.index_watch import IndexWatch
from uaitools.memory.model import Memory
from uaitools.memory.ranking import Candidate, Mode, aged, fused
from uaitools.memory.shares import Shares
from uaitools.memory.store.lexical import Lexical
from uaitools.memory.store.memories import Memories, Sized
from uaitools.memory.store.pages import ROOM
from uaitools.memory.wanted import Wanted

PATIENCE: Final = 3.0  # seconds that meaning may take; an embedder's own are for batches
DEPTH: Final = 50  # candidates of each list at least; three times as many as are asked for
NARROW: Final = 10_000  # memories among which meaning is looked for; among more it is of all
_WIDE: Final = 1_000  # candidates then, because most may not be wanted
_SPARE: Final = 10  # candidates that are looked at beside what is asked for: some may be gone

_log = log.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A search. half_life: of a memory's score; None where its age does not matter."""

    text: str
    limit: int = 10
    mode: Mode = "hybrid"
    wanted: Wanted = field(default_factory=Wanted)
    min_score: float = 0.0
    half_life: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What was found, best first. degraded: what could not be searched.

    more: ids of what was found as well and is not in the results, which have so many bytes already.
    """

    results: Sequence[tuple[Memory, Candidate]]
    degraded: Sequence[str]
    more: Sequence[UUID] = ()


class Searching:
    """Searches of a service's memories. searches, degraded: how many there were.

    shares: how many of a user's there are at once.
    """

    def __init__(
        self,
        memories: Memories,
        lexical: Lexical,
        embedder: Embedder,
        index: VectorIndex,
        watch: IndexWatch,
        *,
        shares: Shares,
    ) -> None:
        self._watch = watch
        self._shares = shares
        self.searches = self.degraded = 0
        self._memories = memories
        self._lexical = lexical
        self._embedder = embedder
        self._index = index

    def __repr__(self) -> str:
        return f"<Searching {self._index!r} searches={self.searches}>"

    async def search(self, user: str, asked: SearchRequest) -> Found:
        """The best of a user's memories. Raises BadFilter, Busy and DatabaseAway."""
        self.searches += 1
        async with self._shares.of(user):
            return await self._search(user, asked)

    async def _search(self, user: str, asked: SearchRequest) -> Found:
        depth = max(DEPTH, 3 * asked.limit)
        parsed = query(asked.text)
        mode, degraded = asked.mode, []
        by_meaning: Mapping[UUID, float] = {}
        by_words: Mapping[UUID, tuple[float, Sequence[str]]] = {}
        if mode != "vector":
            by_words = await self._said(user, parsed, asked, depth)
        if mode != "lexical":
            try:
                async with asyncio.timeout(PATIENCE):
                    by_meaning = await self._meant(user, parsed, asked, depth, by_words)
                if await self._watch.lacks_of(user):
                    degraded = ["vector"]
            except (EmbedderAway, IndexAway, TimeoutError) as error:
                reason = str(error) or f"nothing came in {PATIENCE:g} s"
                _log.warning("search without vectors", reason=reason)
                mode, degraded = "lexical", ["vector"]
                self.degraded += 1
                by_words = by_words or await self._said(user, parsed, asked, depth)
        candidates = fused(by_words, by_meaning, mode)
        best, beyond = await self._best(user, asked, parsed, candidates)
        names = [one.id for one in best]
        rows = await self._memories.chosen(user, asked.wanted, parsed.required, names)
        results = [(rows[one.id], one) for one in best if one.id in rows]
        return Found(results, degraded, [one.id for one in beyond])

    async def _said(
        self, user: str, parsed: Query, asked: SearchRequest, depth: int
    ) -> Mapping[UUID, tuple[float, Sequence[str]]]:
        """Scores and lexemes of what has the words, by id."""
        if not parsed:
            return {}
        matches = await self._lexical.search(user, parsed, asked.wanted, depth)
        return {one.id: (one.score, one.matched) for one in matches}

    async def _meant(
        self, user: str, parsed: Query, asked: SearchRequest, depth: int, said: Collection[UUID]
    ) -> Mapping[UUID, float]:
        """Cosines of what is near in meaning and of what has the words, by id.

        Raises EmbedderAway and IndexAway.
        """
        [vector] = await self._embedder.embed([asked.text])
        among = None
        if asked.wanted.narrow or parsed.phrases:
            names = await self._memories.names(user, asked.wanted, parsed.required, NARROW + 1)
            if len(names) <= NARROW:
                among = names
            else:
                depth = _WIDE
        hits = await self._index.search(user, vector, depth, among)
        if len(hits) == depth:  # else these are all that there are
            far = list(set(said).difference(one.id for one in hits))
            hits += await self._index.search(user, vector, len(far), far) if far else []
        return {one.id: one.score for one in hits}

    async def _best(
        self, user: str, asked: SearchRequest, parsed: Query, candidates: Sequence[Candidate]
    ) -> tuple[Sequence[Candidate], Sequence[Candidate]]:
        """The best that are there: those that a page has room for, and the others.

        Where age does not matter, most candidates need no look.
        """
        good = _good(candidates, asked)
        first = asked.limit + _SPARE if asked.half_life is None else len(good)
        found: list[Candidate] = []
        sizes: dict[UUID, Sized] = {}
        for some in (good[:first], good[first:]):
            if not some or len(found) >= asked.limit:
                break
            names = [one.id for one in some]
            sizes |= await self._memories.sizes(user, asked.wanted, parsed.required, names)
            created = {name: one.created_at for name, one in sizes.items()}
            there = [one for one in some if one.id in sizes]
            best = aged(there, created, datetime.now(UTC), asked.half_life)
            found += _good(best, asked)
        found = found[: asked.limit]
        before = accumulate((sizes[one.id].bytes for one in found), initial=0)
        fit = sum(bytes_before < ROOM for bytes_before in before)
        return found[:fit], found[fit:]


def _good(candidates: Sequence[Candidate], asked: SearchRequest) -> list[Candidate]:
    return [one for one in candidates if one.score > 0 and one.score >= asked.min_score]
