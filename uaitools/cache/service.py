r"""What components use: values by key, of any backend, and one load at a time for what is missing.

    cache = CacheService(LocalCache(16 << 20, 10_000), "memory")
    row = await cache.fetch(f"memory:{id}", lambda: read(id), ttl=60)
    ...
    await commit()
    await cache.delete(f"memory:{id}")

A key that begins with a line of its own is within the scope that this names, and goes with it:

    await cache.fetch(f"{user}\n{id}", ...)
    await cache.delete(f"{user}\n")

What is worth more than its freshness is kept for longer than that, see `Lifetime`:

    day = Lifetime(fresh=300, revalidate=60, if_error=3600)
    served = await cache.serve(f"summary:{id}", lambda: read(id), day)
    say(served.value, served.outcome, served.age)

A delete after the commit is all that a writer owes: whoever read before the commit, in whichever
process, finds no room for what he has read.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from math import inf
from time import time
from typing import Any, Final

import orjson

from uaitools import log
from uaitools.cache.flights import Flights
from uaitools.cache.lifetime import Kept, Lifetime, Outcome, Served
from uaitools.cache.port import YEAR, Backend, Lease
from uaitools.errors import ServiceError
from uaitools.metrics import Family, Sample

LARGEST: Final = 256 * 1024  # bytes of a value; one round trip carries several

_HITS: Final = Family("cache_hits_total", "counter", "Values that were found.")
_MISSES: Final = Family("cache_misses_total", "counter", "Values that were not.")
_REFUSED: Final = Family(
    "cache_refused_total", "counter", "Loads not kept: deleted meanwhile, or no room."
)
_LOADS: Final = Family("cache_loads", "gauge", "Loads under way.")

_STALE: Final = Family("cache_stale_total", "counter", "Values used when their time was over.")
_LOOKS: Final = 0.02  # seconds between two looks for what another process loads

_log = log.get_logger(__name__)

Load = Callable[[], Awaitable[bytes]]


class CacheService:
    """Values of a backend. name: of the cache, in metrics. largest: bytes of a value that is kept.

    No backend's failure is raised: what cannot be had is a miss. ttl: seconds, above 0 and at most
    a year, else ValueError.
    """

    __slots__ = (
        "_backend",
        "_flights",
        "_hits",
        "_largest",
        "_misses",
        "_refused",
        "_stale",
        "name",
    )

    def __init__(self, backend: Backend, name: str, *, largest: int = LARGEST) -> None:
        self.name = name
        self._backend = backend
        self._largest = largest
        self._flights = Flights(name)
        self._hits = self._misses = self._refused = self._stale = 0

    def __repr__(self) -> str:
        hits, misses = self._hits, self._misses
        return f"<CacheService {self.name} {self._backend!r} hits={hits} misses={misses}>"

    @property
    def failing(self) -> str:
        """Why the backend cannot be reached, '' while it can."""
        return self._backend.failing

    async def get(self, key: str) -> bytes | None:
        """The value, or None."""
        value = await self._backend.get(key)
        self._count(hit=value is not None)
        return value

    async def get_json(self, key: str) -> Any:
        """The value that `set_json` kept, or None."""
        value = await self.get(key)
        return None if value is None else orjson.loads(value)

    async def exists(self, key: str) -> bool:
        """Whether there is a value."""
        return await self._backend.exists(key)

    async def set(self, key: str, value: bytes, ttl: float) -> None:
        """Keep a value in place of the one there is. Loads under way are not kept."""
        _check(ttl)
        try:
            if len(value) > self._largest:
                await self._backend.delete(key)
            else:
                await self._backend.set(key, value, ttl)
        finally:
            self._flights.forget(key)

    async def set_json(self, key: str, value: Any, ttl: float) -> None:
        """As `set`. Raises TypeError for what orjson cannot write."""
        await self.set(key, orjson.dumps(value), ttl)

    async def delete(self, *keys: str) -> bool:
        """Forget values, of scopes all; what is being loaded meanwhile is not kept, by no process.

        False when Redis could not be told. From this service they are gone all the same; others
        may find them until Redis has answered, or their time is over.
        """
        try:
            return await self._backend.delete(*keys)
        finally:
            # Who comes from now on joins no load that began before: he gets another lease, or,
            # where there is none to be had, no flight to join.
            for key in keys:
                self._flights.forget(key)

    async def fetch(self, key: str, load: Load, ttl: float) -> bytes:
        """The value, loaded and kept if there is none.

        All who want the same key meanwhile wait for one load, and get its result or its error,
        which is not kept. Who comes after a delete, whichever process it was in, does not wait for
        a load from before it: that goes on for those who came before, and another one is begun. A
        waiter that is cancelled leaves the load to the others. Raises what `load` does, and
        ServiceError (503) when `stop` ends it.
        """
        _check(ttl)
        found = await self._backend.ask(key)
        self._count(hit=isinstance(found, bytes))
        if isinstance(found, bytes):
            return found
        flight = (key, found.token if found else b"")
        return await self._flights.join(flight, lambda: self._load(key, found, load, ttl))

    async def serve(
        self, key: str, load: Load, lifetime: Lifetime, *, oldest: float = inf
    ) -> Served:
        """The value, for as long as its lifetime says; at most `oldest` seconds old.

        One load at a time, in this process and, as long as its patience lasts, in all that share
        Redis. Who waits for a load from before a delete gets it, as with `fetch`. A value whose
        time is over is used while it is loaded again, and where that fails with 500 or above, with
        `oldest` as well. What a load refuses with less than that is kept no longer. Raises what
        `load` does, and ServiceError (503) when `stop` ends it.
        """
        _check(lifetime.longest)
        found = await self._backend.ask(key)
        kept = Kept.read(found) if isinstance(found, bytes) else None
        if kept is None:
            self._count(hit=False)
            return await self._newer(
                key, None if isinstance(found, bytes) else found, load, lifetime
            )
        age = max(0.0, time() - kept.made)
        if age <= min(oldest, kept.fresh):
            self._count(hit=True)
            return Served(kept.value, Outcome.HIT, age)
        lease = await self._backend.renew(key)
        if age <= min(oldest, kept.fresh + lifetime.revalidate):
            self._refresh(key, lease, load, lifetime)
            return self._past(kept, age)
        self._count(hit=False)
        try:
            return await self._newer(key, lease, load, lifetime, than=kept.made)
        except ServiceError as error:
            if error.code < 500 or age > kept.fresh + lifetime.if_error:
                raise
            _log.warning("a value is used past its time", cache=self.name, reason=str(error))
            return self._past(kept, age)

    async def stop(self) -> None:
        """Cancel loads under way, and let go of the backend."""
        await self._flights.stop()
        await self._backend.stop()

    def samples(self) -> Iterator[Sample]:
        """A source of uaitools.metrics."""
        labels = (("cache", self.name),)
        yield Sample(_HITS, labels, self._hits)
        yield Sample(_MISSES, labels, self._misses)
        yield Sample(_REFUSED, labels, self._refused)
        yield Sample(_STALE, labels, self._stale)
        yield Sample(_LOADS, labels, len(self._flights))
        yield from self._backend.samples(self.name)

    async def _load(self, key: str, lease: Lease | None, load: Load, ttl: float) -> bytes:
        value = await load()
        if lease is not None and len(value) <= self._largest:
            self._refused += not await self._backend.store(key, lease, value, ttl)
        return value

    def _past(self, kept: Kept, age: float) -> Served:
        self._stale += 1
        return Served(kept.value, Outcome.STALE, age)

    def _refresh(self, key: str, lease: Lease | None, load: Load, lifetime: Lifetime) -> None:
        """Load a value that is still used, if nobody does."""

        async def refresh() -> bytes:
            try:
                return await self._fill(key, lease, load, lifetime)
            except ServiceError as error:
                _log.warning("a value stays as it is", cache=self.name, reason=str(error))
                raise

        if lease is not None and lease.first:
            self._flights.begin((key, lease.token), refresh)

    async def _newer(
        self, key: str, lease: Lease | None, load: Load, lifetime: Lifetime, than: float = -inf
    ) -> Served:
        """A value that was loaded later than `than`: here, or by another process."""
        outcome = Outcome.COALESCED

        async def fly() -> bytes:
            nonlocal outcome
            found: bytes | Lease | None = lease
            if lease is not None and not lease.first:
                found = await self._wait(key, lease, lifetime.patience, than)
            if isinstance(found, bytes):
                return found
            outcome = Outcome.MISS
            return await self._fill(key, found, load, lifetime)

        flight = (key, lease.token if lease else b"")
        kept = Kept.read(await self._flights.join(flight, fly))
        return Served(kept.value, outcome, max(0.0, time() - kept.made))

    async def _wait(
        self, key: str, lease: Lease | None, patience: float, than: float
    ) -> bytes | Lease | None:
        """What another process loads; or a lease, when that takes longer, or has failed."""
        for _ in range(int(patience / _LOOKS)):
            await asyncio.sleep(_LOOKS)
            value = await self._backend.get(key)
            if value is not None and Kept.read(value).made > than:
                return value
            lease = await self._backend.renew(key)
            if lease is None or lease.first:
                break
        return lease

    async def _fill(self, key: str, lease: Lease | None, load: Load, lifetime: Lifetime) -> bytes:
        made = time()
        try:
            value = await load()
        except Exception as error:
            if isinstance(error, ServiceError) and error.code < 500:
                await self.delete(key)
            elif lease is not None:
                await self._backend.release(key, lease)
            raise
        kept = Kept(made, lifetime.drawn(random.random()), value)  # noqa: S311 - no secret
        text = kept.written
        if lease is not None:
            if len(value) > self._largest:
                await self._backend.release(key, lease)
            else:
                self._refused += not await self._backend.store(key, lease, text, lifetime.longest)
        return text

    def _count(self, *, hit: bool) -> None:
        self._hits += hit
        self._misses += not hit


def _check(ttl: float) -> None:
    if not 0 < ttl <= YEAR:
        raise ValueError(f"a time to live is above 0 and at most a year, not {ttl}")
