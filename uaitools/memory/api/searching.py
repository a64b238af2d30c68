"""The handler of searches."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from aiohttp import web

from uaitools.filters import BadFilter
from uaitools.memory.api import requests
from uaitools.memory.api.callers import owner
from uaitools.memory.errors import SERVICE, BadRequest
from uaitools.memory.model import Memory
from uaitools.memory.ranking import Candidate
from uaitools.memory.rendering import document, encoded
from uaitools.memory.searching import SearchRequest
from uaitools.memory.wanted import Wanted
from uaitools.rest import body

if TYPE_CHECKING:
    from uaitools.memory.service import MemoryService

_DIGITS = 6  # of a score: what is beyond says nothing


class SearchHandler:
    """Answers searches."""

    __slots__ = ("_service",)

    def __init__(self, service: MemoryService) -> None:
        self._service = service

    def __repr__(self) -> str:
        return f"<SearchHandler {self._service!r}>"

    async def search(self, request: web.Request) -> bytes:
        """POST of a search."""
        asked = await body(request, requests.Search, SERVICE)
        days = asked.half_life_days
        search = SearchRequest(
            asked.query,
            limit=asked.limit,
            mode=asked.mode,
            wanted=wanted_by(asked.filter),
            min_score=asked.min_score,
            half_life=None if days is None else timedelta(days=days),
        )
        try:
            user = owner(request, asked.user_id)
            found = await self._service.search(user, search, touch=asked.touch)
        except BadFilter as error:
            raise BadRequest("filter.metadata", str(error)) from error
        results = [_result(*one, explain=asked.explain) for one in found.results]
        said = {"results": results, "more": found.more}
        return encoded({**said, "mode": asked.mode, "degraded": found.degraded})


def wanted_by(asked: requests.Filter) -> Wanted:
    """What a filter that came over HTTP wants."""
    same = asked.model_dump(exclude={"type", "tags", "metadata"})
    return Wanted(
        types=asked.type,
        any_tags=asked.tags.any,
        all_tags=asked.tags.all,
        no_tags=asked.tags.none,
        metadata=asked.metadata,
        **same,
    )


def _result(memory: Memory, candidate: Candidate, *, explain: bool) -> dict[str, Any]:
    result = {**document(memory), "score": round(candidate.score, _DIGITS)}
    if explain:
        result["explain"] = {
            "lexical": round(candidate.lexical, _DIGITS),
            "vector": round(candidate.vector, _DIGITS),
            "recency": round(candidate.recency, _DIGITS),
            "matched": candidate.matched,
        }
    return result
