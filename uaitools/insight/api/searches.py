"""Searches: what is asked for, how it is loaded, and how it is said."""

from __future__ import annotations

from dataclasses import replace
from hashlib import blake2b
from typing import Any, Final, get_args

import orjson

from uaitools.insight.api.cursors import after, cursor
from uaitools.insight.api.freshness import dated
from uaitools.insight.api.parameters import Parameters
from uaitools.insight.copies import Copy, Wanted
from uaitools.insight.errors import BadQuery
from uaitools.insight.store import search
from uaitools.insight.store.search import Found, Search, Sort
from uaitools.insight.terms import folded

PATH: Final = "/api/v1/fast/search"
MOST: Final = 100  # repositories of a page
LONGEST: Final = 256  # characters of a query
LANGUAGE: Final = 100  # of a language
_KNOWN: Final = ("q", "language", "min_stars", "sort", "limit", "offset", "cursor")
_SORTS: Final[tuple[Sort, ...]] = get_args(Sort)


class Searches:
    """Searches of repositories."""

    __slots__ = ("_search",)

    def __init__(self, search: Search) -> None:
        self._search = search

    def __repr__(self) -> str:
        return f"<Searches {self._search!r}>"

    async def wanted(self, path: str, query: str) -> Wanted:
        """See serving.Source. Raises BadQuery."""
        del path
        asked = read(query)

        async def load() -> Copy:
            return Copy.of(_document(asked, await self._search.search(asked)))

        text = orjson.dumps([*_query(asked), asked.limit, asked.offset, asked.after])
        return Wanted(f"search {blake2b(text, digest_size=16).hexdigest()}", load)


def read(query: str) -> search.Wanted:
    """What a query asks for, in the one spelling of all that mean the same. Raises BadQuery."""
    given = Parameters(query, _KNOWN)
    asked = search.Wanted(
        " ".join(folded(given.needed("q", LONGEST)).split()),
        given.text("language", LANGUAGE),
        given.whole("min_stars", None),
        given.one_of("sort", _SORTS, "stars"),
        given.limit(20, MOST),
        given.whole("offset", 0) or 0,
    )
    place = after(given.text("cursor", 100), orjson.dumps(_query(asked)))
    if place is not None and asked.offset:
        raise BadQuery("offset", "is for the first page; a cursor says itself where to go on")
    return replace(asked, after=place)


def _query(asked: search.Wanted) -> list[Any]:
    """What all pages have in common."""
    return [asked.query, asked.language, asked.min_stars, asked.sort]


def _document(asked: search.Wanted, found: Found) -> dict[str, Any]:
    """As answers.Found has it."""
    return {
        **dated(found.state.as_of, found.state.sources),
        "total": found.total,
        "alike": found.alike,
        "repositories": found.repositories,
        "facets": {"languages": found.languages, "star_ranges": found.ranges},
        "next": cursor(found.next, orjson.dumps(_query(asked))),
    }
