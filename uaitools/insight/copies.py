"""Answers that are kept: rendered once, good for one generation of the data, dropped by a report.

A key is of a place, a generation, a kind and what was asked for: an import makes all keys others,
and a report drops that of its repository and nothing else. Above the cache is `Recent`, what this
process has served last: without a round trip, and without a task.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from math import inf
from time import time
from typing import Any, Final, Self
from uuid import UUID

import orjson

from uaitools.cache.lifetime import Lifetime, Outcome
from uaitools.cache.service import CacheService
from uaitools.insight.recent import Recent
from uaitools.insight.store.events import Event
from uaitools.insight.store.generations import State

_FORM: Final = 1  # of what is kept: another version of the service may have another one
_SUMMARY: Final = "summary {}"
_TAG: Final = 32  # hexadecimal digits


@dataclass(frozen=True, slots=True)
class Copy:
    """The body of an answer, and its strong entity tag with its quotes (RFC 9110 8.8.3)."""

    tag: bytes
    body: bytes

    @classmethod
    def of(cls, document: Any) -> Self:
        """What orjson makes of a document: the same one is the same bytes."""
        body = orjson.dumps(document, option=orjson.OPT_UTC_Z)
        digest = blake2b(body, digest_size=_TAG // 2).hexdigest().encode()
        return cls(b'"%b"' % digest, body)

    @classmethod
    def read(cls, kept: bytes) -> Self:
        """What `kept` has made."""
        return cls(b'"%b"' % kept[:_TAG], kept[_TAG:])

    @property
    def kept(self) -> bytes:
        """As bytes."""
        return self.tag[1:-1] + self.body


@dataclass(frozen=True, slots=True)
class Known:
    """A copy as a process has it. about: the id of its repository, '' for none. made: unix time."""

    copy: Copy
    about: str
    made: float


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for, and how it is loaded. about: the id of the repository, '' for others."""

    key: str
    load: Callable[[], Awaitable[Copy]]
    about: str = ""

    @classmethod
    def summary(cls, repository: str, load: Callable[[], Awaitable[Copy]]) -> Self:
        """That of a repository: all that is kept about one."""
        return cls(_SUMMARY.format(repository), load, repository)


class Copies:
    """Those of one database. place: a word that no other database in the cache has.

    It is a follower (see `following`): told of generations and reports, in this process and others.
    """

    __slots__ = ("_cache", "_generation", "_place", "recent")

    def __init__(self, cache: CacheService, place: str, recent: Recent[Known]) -> None:
        self.recent = recent
        self._cache = cache
        self._place = place
        self._generation = 0

    def __repr__(self) -> str:
        return f"<Copies g{self._generation} {self._cache!r} {self.recent!r}>"

    async def find(
        self, wanted: Wanted, lifetime: Lifetime, oldest: float = inf
    ) -> tuple[Known, Outcome]:
        """A copy at most `oldest` seconds old, loaded if there is none. Raises what `load` does."""

        async def load() -> bytes:
            return (await wanted.load()).kept

        key = self._key(wanted.key)
        served = await self._cache.serve(key, load, lifetime, oldest=oldest)
        known = Known(Copy.read(served.value), wanted.about, time() - served.age)
        return known, served.outcome

    async def name(
        self, name: str, load: Callable[[], Awaitable[UUID]], lifetime: Lifetime
    ) -> UUID:
        """Whose name it is, which imports alone change. Raises what `load` does."""

        async def read() -> bytes:
            return (await load()).bytes

        served = await self._cache.serve(self._key(f"name {name}"), read, lifetime)
        return UUID(bytes=served.value)

    async def renewed(self, state: State) -> None:
        """See following.Follower."""
        self._generation = state.generation
        self.recent.clear()

    async def reported(self, events: Sequence[Event]) -> None:
        """See following.Follower."""
        about = {str(event.repository_id) for event in events if event.repository_id is not None}
        if about:
            self.recent.forget(about)
            await self._cache.delete(*(self._key(_SUMMARY.format(one)) for one in about))

    def _key(self, asked: str) -> str:
        return f"{self._place} {_FORM} g{self._generation} {asked}"
