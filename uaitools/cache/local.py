"""A cache in this process. Others of several processes know nothing of its deletes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final

from uaitools.cache.entries import Entries
from uaitools.cache.port import Lease
from uaitools.metrics import Family, Sample

_ENTRIES: Final = Family("cache_entries", "gauge", "Values held in the process.")
_BYTES: Final = Family("cache_bytes", "gauge", "Bytes that the process holds in caches.")
_EVICTED: Final = Family("cache_evicted_total", "counter", "Values that had to make room.")


class LocalCache:
    """At most `entries` of them, and `size` bytes; see Backend. clock: seconds, never back."""

    __slots__ = ("_clock", "_entries")

    failing: Final = ""

    def __init__(
        self, size: int, entries: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._entries = Entries(size, entries)
        self._clock = clock

    def __repr__(self) -> str:
        return f"<LocalCache {self._entries!r}>"

    async def get(self, key: str) -> bytes | None:
        """See Backend.get."""
        return self._entries.get(key, self._clock())

    async def exists(self, key: str) -> bool:
        """See Backend.exists."""
        return self._entries.get(key, self._clock()) is not None

    async def ask(self, key: str) -> bytes | Lease | None:
        """See Backend.ask."""
        return self._entries.ask(key, self._clock())

    async def renew(self, key: str) -> Lease | None:
        """See Backend.renew."""
        return self._entries.lease(key)

    async def release(self, key: str, lease: Lease) -> None:
        """See Backend.release."""
        self._entries.release(key, lease)

    async def store(self, key: str, lease: Lease, value: bytes, ttl: float) -> bool:
        """See Backend.store."""
        now = self._clock()
        return self._entries.store(key, lease, value, now + ttl, now)

    async def set(self, key: str, value: bytes, ttl: float) -> None:
        """See Backend.set."""
        now = self._clock()
        self._entries.set(key, value, now + ttl, now)

    async def delete(self, *keys: str) -> bool:
        """See Backend.delete."""
        for key in keys:
            self._entries.delete(key)
        return True

    async def stop(self) -> None:
        """See Backend.stop."""

    def samples(self, name: str) -> Iterator[Sample]:
        """See Backend.samples."""
        labels = (("cache", name),)
        yield Sample(_ENTRIES, labels, len(self._entries))
        yield Sample(_BYTES, labels, self._entries.used)
        yield Sample(_EVICTED, labels, self._entries.evicted)
