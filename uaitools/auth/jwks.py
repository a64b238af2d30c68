"""The keys that an issuer publishes at a URL (RFC 7517): fetched, kept fresh, kept when it is down.

A key set is fetched when it starts, again every `refresh` seconds, and when a token names a key
that it lacks: that at most once in 30 s, however many such tokens come, with one fetch under way.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, Final

import aiohttp

from uaitools import log
from uaitools.auth.errors import NotReady, Unresolved
from uaitools.auth.public_key import PublicKey, from_jwk
from uaitools.bounded import read_bounded
from uaitools.tasks import spawn

if TYPE_CHECKING:
    from uaitools.auth.jws import Algorithm

ON_DEMAND: Final = 30.0  # seconds between two fetches for the sake of unknown keys
_SIZE: Final = 256 * 1024  # bytes of a key set
_KEYS: Final = 100
_WAITING: Final = 256  # requests that one fetch may hold up
_BACKOFF: Final = (1.0, 30.0)  # seconds until a failed fetch is repeated, first and most

_log = log.get_logger(__name__)

# By kid, or by the position of a key that has none, which no token can name.
_Keys = Mapping[tuple[str | int, "Algorithm"], PublicKey]


class _Unusable(Exception):
    """What the URL answered is no key set, in words for the log."""


class KeySet:
    """An issuer's published keys.

    algorithms: for which keys are kept. service: who speaks in errors. changed: called when there
    are other keys than before. refresh, timeout: seconds. clock: monotonic seconds.
    """

    def __init__(
        self,
        url: str,
        algorithms: Collection[Algorithm],
        service: str,
        *,
        changed: Callable[[], object] = lambda: None,
        refresh: float = 300.0,
        timeout: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.fetches = 0  # begun so far
        self._url = url
        self._algorithms = frozenset(algorithms)
        self._service = service
        self._changed = changed
        self._refresh = refresh
        self._timeout = timeout
        self._clock = clock
        self._keys: _Keys = {}
        self._down = False
        self._next_on_demand = -ON_DEMAND
        self._waiting = 0
        self._fetching: asyncio.Task[None] | None = None
        self._refreshing: asyncio.Task[None] | None = None
        self._session: aiohttp.ClientSession | None = None

    def __repr__(self) -> str:
        state = " down" if self._down else ""
        return f"<KeySet {self._host}{state} keys={len(self._keys)} fetches={self.fetches}>"

    @property
    def _host(self) -> str:
        return self._url.partition("://")[2].partition("/")[0]

    async def start(self) -> None:
        """Begin to fetch. Tokens that come before the first answer wait for it."""
        self._session = aiohttp.ClientSession(
            # A compressed answer could grow beyond its bound.
            headers={"Accept-Encoding": "identity", "Accept": "application/json"},
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=self._timeout),
        )
        self._begin()
        self._refreshing = spawn(self._keep_fresh(), name=f"refresh keys of {self._host}")

    async def stop(self) -> None:
        """End what is under way."""
        for task in (self._refreshing, self._fetching):
            if task is not None:
                task.cancel()
                await asyncio.wait({task})
        if self._session is not None:
            await self._session.close()

    def find(self, kid: str | None, algorithm: Algorithm) -> PublicKey | None:
        """The key that a token names; without `kid` the only one for its algorithm.

        Raises Unresolved when it may come with a fetch, and NotReady when none has succeeded yet.
        """
        if kid is None:
            fitting = [key for (_, purpose), key in self._keys.items() if purpose == algorithm]
            found = fitting[0] if len(fitting) == 1 else None
        else:
            found = self._keys.get((kid, algorithm))
        if found is not None:
            return found
        if self._fetching is not None or self._clock() >= self._next_on_demand:
            if self._waiting >= _WAITING or self._session is None:
                raise NotReady(self._service)
            raise Unresolved(self._fetched)
        if not self._keys:
            raise NotReady(self._service)
        return None

    async def _fetched(self) -> None:
        """Wait for the fetch under way, or for one of our own. Cancelled, it cancels no fetch."""
        if self._fetching is None:
            if self._clock() < self._next_on_demand:
                return
            self._next_on_demand = self._clock() + ON_DEMAND
        self._waiting += 1
        try:
            await asyncio.wait({self._begin()})
        finally:
            self._waiting -= 1

    def _begin(self) -> asyncio.Task[None]:
        if self._fetching is None:
            self.fetches += 1
            self._fetching = spawn(self._fetch(), name=f"fetch keys of {self._host}")
        return self._fetching

    async def _keep_fresh(self) -> None:
        least, most = _BACKOFF
        delay = least
        while True:
            await asyncio.wait({self._begin()})
            if self._keys and not self._down:
                delay = least
                await asyncio.sleep(self._refresh * random.uniform(0.9, 1.0))  # noqa: S311
            else:
                pause = min(delay, self._refresh)
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311
                delay = min(2 * delay, most)

    async def _fetch(self) -> None:
        """Replace the keys if the URL gives usable ones."""
        try:
            found = _usable(await self._download(), self._algorithms)
        except (aiohttp.ClientError, OSError, TimeoutError, _Unusable) as error:
            if not self._down:
                self._down = True
                _log.error(
                    "key set cannot be fetched, the last good one stays",
                    host=self._host,
                    keys=len(self._keys),
                    reason=str(error) or type(error).__name__,
                )
            return
        finally:
            self._fetching = None
        if self._down:
            self._down = False
            _log.info("key set can be fetched again", host=self._host)
        if found != self._keys:  # the cryptography library compares keys by their numbers
            self._keys = found
            _log.info("key set in force", host=self._host, keys=len(self._keys))
            self._changed()

    async def _download(self) -> bytes:
        """The body at the URL. Redirects are not followed: they could lead anywhere."""
        assert self._session is not None
        async with self._session.get(self._url, allow_redirects=False) as response:
            if response.status != 200:
                raise _Unusable(f"status {response.status}")
            try:
                return await read_bounded(response, _SIZE)
            except ValueError as error:
                raise _Unusable(f"over {_SIZE} bytes") from error


def _usable(body: bytes, algorithms: Collection[Algorithm]) -> _Keys:
    """The keys of a set that fit. Raises _Unusable when there is none: that is never meant."""
    try:
        document: Any = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _Unusable("not JSON") from error
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list) or len(entries) > _KEYS:
        raise _Unusable(f"no list of at most {_KEYS} keys")
    keys: dict[tuple[str | int, Algorithm], PublicKey] = {}
    for position, entry in enumerate(entries):
        kid = entry.get("kid") if isinstance(entry, dict) else None
        if isinstance(entry, dict) and isinstance(kid, str | None):
            # Sets hold keys for other purposes and readers, too (RFC 7517, 5).
            with contextlib.suppress(ValueError):
                algorithm, key = from_jwk(entry)
                if algorithm in algorithms:
                    keys.setdefault((position if kid is None else kid, algorithm), key)
    if not keys:
        raise _Unusable("no usable key")
    return keys
