"""The way of a fast GET: what was served last, else what is kept, else what is loaded.

Bodies say nothing of the moment, so that the same data is the same bytes; what differs from one
request to the next stands in headers: X-Cache, Age.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Coroutine
from time import time
from typing import Any, Final, Protocol

from uaitools.cache.lifetime import Lifetime, Outcome
from uaitools.insight.api.conditions import has, oldest
from uaitools.insight.copies import Copies, Known, Wanted
from uaitools.proxy import DirectAnswer, DirectRequest

_FRESH: Final = frozenset({Outcome.HIT, Outcome.MISS, Outcome.COALESCED})


class Source(Protocol):
    """One kind of answers."""

    async def wanted(self, path: str, query: str) -> Wanted:
        """What a request asks for. path: unescaped. Raises ServiceError."""


class Serving:
    """Answers the GETs of one kind. outcomes: how many had which X-Cache.

    kind: its name, in metrics. lifetime: of what is kept; `fresh` is the max-age of answers.
    """

    __slots__ = ("_control", "_copies", "_good", "_lifetime", "_source", "kind", "outcomes")

    def __init__(self, kind: str, source: Source, copies: Copies, lifetime: Lifetime) -> None:
        self.kind = kind
        self.outcomes: Counter[Outcome] = Counter()
        self._source = source
        self._copies = copies
        self._lifetime = lifetime
        self._good = lifetime.drawn(1)  # seconds that every copy is fresh
        self._control = b"Cache-Control: max-age=%d\r\n" % lifetime.fresh

    def __repr__(self) -> str:
        return f"<Serving {self.kind} answers={self.outcomes.total()}>"

    def answer(self, request: DirectRequest) -> DirectAnswer | Coroutine[Any, Any, DirectAnswer]:
        """At once where it was served before, else later."""
        bound, now = oldest(request.header(b"cache-control")), time()
        known = self._copies.recent.get((request.path, request.query), now)
        if known is not None and now - known.made <= bound:
            return self._say(request, known, Outcome.HIT, now)
        return self._find(request, bound)

    async def _find(self, request: DirectRequest, bound: float) -> DirectAnswer:
        recent = self._copies.recent
        changes = recent.changes
        wanted = await self._source.wanted(request.path, request.query)
        known, outcome = await self._copies.find(wanted, self._lifetime, bound)
        if outcome in _FRESH:
            ends = known.made + self._good
            asked = (request.path, request.query)
            recent.put(asked, known, len(known.copy.body), ends, changes)
        return self._say(request, known, outcome, time())

    def _say(
        self, request: DirectRequest, known: Known, outcome: Outcome, now: float
    ) -> DirectAnswer:
        self.outcomes[outcome] += 1
        copy = known.copy
        headers = b"ETag: %b\r\n%bX-Cache: %b\r\nAge: %d\r\n" % (
            copy.tag,
            self._control,
            outcome.encode(),
            max(0.0, now - known.made),
        )
        if has(request.header(b"if-none-match"), copy.tag):
            return DirectAnswer(304, b"", headers)
        return DirectAnswer(200, copy.body, headers)
