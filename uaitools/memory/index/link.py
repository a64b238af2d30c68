"""The connection to a Weaviate server: calls within a bounded time, and one error for all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, TypeVar

import httpx
from weaviate import WeaviateAsyncClient
from weaviate.classes.init import AdditionalConfig, Auth, Timeout
from weaviate.config import GrpcConfig
from weaviate.connect import ConnectionParams
from weaviate.exceptions import (
    InsufficientPermissionsError,
    WeaviateBaseError,
    WeaviateConnectionError,
    WeaviateInvalidInputError,
    WeaviateStartUpError,
    WeaviateTimeoutError,
)

from uaitools import log
from uaitools.fair_timeout import fair_timeout
from uaitools.memory.index.errors import IndexAway
from uaitools.traffic.breaker import BreakerPolicy, CircuitBreaker

_log = log.get_logger(__name__)
T = TypeVar("T")
Action = Callable[[WeaviateAsyncClient], Awaitable[T]]
# The client itself tries four times what cannot connect, with seconds between: without a breaker
# each search would wait as long as it may.
POLICY: Final = BreakerPolicy(failures=3, connect_errors=1, ratio=2, eject=1, eject_max=30, ramp=0)
# gRPC waits up to two minutes before it connects again.
_CHANNEL: Final = (
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2000),
)


class WeaviateLink:
    """A client that is made when it is first needed, and prepared again after each failure.

    prepare: run before the first call, and before the first one after a failure. wait: seconds
    for connecting. longest: what the client itself may wait for a write.
    """

    def __init__(
        self,
        params: ConnectionParams,
        prepare: Action[None],
        *,
        key: str | None = None,
        wait: float,
        longest: float,
        policy: BreakerPolicy = POLICY,
    ) -> None:
        self._params = params
        self._key = key
        self._prepare = prepare
        self._wait = wait
        self._longest = longest
        self._client: WeaviateAsyncClient | None = None
        self._prepared = False
        self._lock = asyncio.Lock()
        self._breaker = CircuitBreaker(policy)

    def __repr__(self) -> str:
        state = "closed" if self._client is None else "open"
        return f"<WeaviateLink {state} prepared={self._prepared} {self._breaker!r}>"

    async def call(self, action: Action[T], seconds: float) -> T:
        """What an action on the client returns, in at most so many seconds. Raises IndexAway."""
        now = time.monotonic()
        if self._breaker.share(now) <= 0:
            raise IndexAway("Weaviate has failed just now")
        ticket = self._breaker.admit(now)
        try:
            async with fair_timeout(seconds):
                answer = await action(await self._ready())
        except (WeaviateBaseError, httpx.HTTPError, OSError, TimeoutError) as error:
            if isinstance(error, WeaviateInvalidInputError):
                self._breaker.abandon(ticket, now)  # a mistake of ours, and nothing was sent
                raise
            self._prepared = False
            self._breaker.failure(ticket, time.monotonic(), connect=_connecting(error))
            _log.warning("weaviate failed", reason=f"{type(error).__name__}: {error}")
            raise IndexAway(_reason(error)) from error
        except BaseException:
            self._breaker.abandon(ticket, time.monotonic())
            raise
        self._breaker.success(ticket, time.monotonic())
        return answer

    def prepare_again(self) -> None:
        """Prepare before the next call: what was prepared is gone."""
        self._prepared = False

    async def close(self) -> None:
        """Close the client."""
        client, self._client = self._client, None
        self._prepared = False
        if client is not None:
            await client.close()

    async def _ready(self) -> WeaviateAsyncClient:
        if self._client is not None and self._prepared:
            return self._client
        async with self._lock:
            if self._client is None:
                self._client = await self._connected()
            if not self._prepared:
                await self._prepare(self._client)
                self._prepared = True
            return self._client

    async def _connected(self) -> WeaviateAsyncClient:
        client = WeaviateAsyncClient(
            connection_params=self._params,
            auth_client_secret=None if self._key is None else Auth.api_key(self._key),
            additional_config=AdditionalConfig(
                # Twice ours, which are to end first and say that it is too slow.
                timeout=Timeout(
                    init=2 * self._wait, query=2 * self._wait, insert=2 * self._longest
                ),
                grpc_config=GrpcConfig(channel_options=_CHANNEL),
            ),
            skip_init_checks=True,  # they ask a package index for the client's latest version
        )
        try:
            await client.connect()
        except (KeyError, TypeError, ValueError) as error:
            await client.close()
            raise WeaviateStartUpError("what answers is no Weaviate") from error
        except BaseException:
            with suppress(WeaviateBaseError, httpx.HTTPError, OSError):
                await client.close()
            raise
        return client


def _connecting(error: Exception) -> bool:
    return isinstance(error, (WeaviateConnectionError, WeaviateStartUpError, httpx.ConnectError))


def _reason(error: Exception) -> str:
    if _connecting(error):
        return "Weaviate cannot be reached"
    if isinstance(error, (TimeoutError, WeaviateTimeoutError, httpx.TimeoutException)):
        return "Weaviate is too slow"
    if isinstance(error, InsufficientPermissionsError):
        return "Weaviate asks for another key"
    return f"Weaviate answers with {type(error).__name__}"
