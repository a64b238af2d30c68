"""A cache in Redis, which several processes share."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Final

from uaitools.cache.port import YEAR, Lease
from uaitools.cache.remote import Remote
from uaitools.cache.script import (
    ASK,
    CLAIM,
    EXISTS,
    GET,
    RELEASE,
    RENEW,
    STORE,
    prefix_of,
)
from uaitools.metrics import Family, Sample
from uaitools.redis_link import Answer

_UP: Final = Family("cache_up", "gauge", "Whether Redis answers the cache.", "min")
_OWED: Final = Family("cache_owed", "gauge", "Deletes that Redis has not confirmed.")
_ERRORS: Final = Family("cache_errors_total", "counter", "Calls of the cache that Redis failed.")


class RedisCache:
    """The keys of the cache `name` in the Redis at `url`; see Backend.

    timeout: seconds for a round trip, connecting included. pause: seconds between attempts while
    Redis is away.
    """

    __slots__ = ("_remote",)

    def __init__(self, url: str, name: str, *, timeout: float = 0.25, pause: float = 1.0) -> None:
        self._remote = Remote(url, prefix_of(name), timeout=timeout, pause=pause)

    def __repr__(self) -> str:
        return f"<RedisCache {self._remote!r}>"

    @property
    def failing(self) -> str:
        """See Backend.failing."""
        return self._remote.failing

    async def get(self, key: str) -> bytes | None:
        """See Backend.get."""
        match await self._remote.call(GET, _encoded(key)):
            case [bytes(value)]:
                return value
        return None

    async def exists(self, key: str) -> bool:
        """See Backend.exists."""
        return await self._remote.call(EXISTS, _encoded(key)) == [1]

    async def ask(self, key: str) -> bytes | Lease | None:
        """See Backend.ask."""
        answer = await self._remote.call(ASK, _encoded(key), _token())
        match answer:
            case [b"v", bytes(value)]:
                return value
        return _lease_of(answer)

    async def renew(self, key: str) -> Lease | None:
        """See Backend.renew."""
        return _lease_of(await self._remote.call(RENEW, _encoded(key), _token()))

    async def release(self, key: str, lease: Lease) -> None:
        """See Backend.release."""
        await self._remote.call(RELEASE, _encoded(key), lease.token)

    async def store(self, key: str, lease: Lease, value: bytes, ttl: float) -> bool:
        """See Backend.store."""
        ends = max(1, int(min(ttl, YEAR) * 1000))
        return await self._remote.call(STORE, _encoded(key), lease.token, ends, value) == [1]

    async def set(self, key: str, value: bytes, ttl: float) -> None:
        """See Backend.set."""
        # Until the claim is confirmed, nobody is to believe what was there before.
        self._remote.owe(_encoded(key))
        claimed: Answer | None = await self._remote.call(CLAIM, _encoded(key), _token())
        if claimed:
            await self.store(key, Lease(claimed[0]), value, ttl)

    async def delete(self, *keys: str) -> bool:
        """See Backend.delete."""
        for key in keys:
            self._remote.owe(_encoded(key))
        return await self._remote.settle()

    async def stop(self) -> None:
        """See Backend.stop."""
        await self._remote.stop()

    def samples(self, name: str) -> Iterator[Sample]:
        """See Backend.samples."""
        labels = (("cache", name),)
        yield Sample(_UP, labels, float(not self.failing))
        yield Sample(_OWED, labels, self._remote.owed)
        yield Sample(_ERRORS, labels, self._remote.errors)


def _lease_of(answer: Answer | None) -> Lease | None:
    """What ASK or RENEW has answered, if it is a lease."""
    match answer:
        case [b"l", bytes(token), int(first)]:
            return Lease(token, first=first == 1)
    return None


def _encoded(key: str) -> bytes:
    return key.encode("utf-8", "surrogatepass")


def _token() -> str:
    return secrets.token_hex(8)
