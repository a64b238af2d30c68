"""A connection to Redis: calls of scripts, each within a bounded time, and one error for all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from hashlib import sha1
from typing import Any, Final, TypeVar, cast
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoScriptError, RedisError, ResponseError

from uaitools.fair_timeout import fair_timeout
from uaitools.registry.store.script import PREFIX

TIMEOUT: Final = 2.0  # seconds for a call, connecting included
LARGE: Final = 10.0  # seconds for one with a snapshot
Argument = str | bytes | int
Answer = list[Any]
T = TypeVar("T")


class Away(Exception):
    """Redis did not answer, or not as it should; what was sent may have happened or not.

    The text is fit to be shown: a reason, and never the URL, which may hold a password. lasting:
    asking again will not help.
    """

    def __init__(self, reason: str, *, lasting: bool = False) -> None:
        super().__init__(reason)
        self.lasting = lasting


class Link:
    """One connection to the Redis at `url`, opened when it is first used. One call at a time."""

    __slots__ = ("_client", "_loaded", "_lock", "_url", "address", "round_trips")

    def __init__(self, url: str) -> None:
        self._url = url
        parts = urlsplit(url)
        self.address = f"{parts.hostname}:{parts.port or 6379}" if parts.hostname else parts.path
        self.round_trips = 0
        self._client: Redis | None = None
        self._loaded: set[str] = set()  # scripts that this connection has seen loaded
        self._lock = asyncio.Lock()

    def __repr__(self) -> str:
        state = "closed" if self._client is None else "open"
        return f"<Link {self.address} {state} round_trips={self.round_trips}>"

    async def call(
        self,
        script: str,
        *arguments: Argument,
        timeout: float = TIMEOUT,  # noqa: ASYNC109 - ours
    ) -> Answer:
        """What a script answers. Raises Away."""
        return (await self.calls(script, [arguments], timeout))[0]

    async def calls(
        self,
        script: str,
        several: Sequence[Sequence[Argument]],
        timeout: float = TIMEOUT,  # noqa: ASYNC109
    ) -> list[Answer]:
        """What a script answers to each of several calls, sent together. Raises Away."""
        return await self._guarded(lambda client: self._run(client, script, several), timeout)

    async def read(self, stream: str, after: str, block: float, count: int) -> Answer:
        """Entries of a stream: waits `block` seconds for the first. Raises Away."""
        words = ("COUNT", count, "BLOCK", int(block * 1000), "STREAMS", stream, after)
        return await self._guarded(lambda client: _plain(client, "XREAD", *words), block + TIMEOUT)

    async def command(self, *words: Argument) -> Answer:
        """What a command answers. Raises Away."""
        return await self._guarded(lambda client: _plain(client, *words), TIMEOUT)

    async def close(self) -> None:
        """Close the connection; the next call opens another."""
        client, self._client = self._client, None
        self._loaded.clear()
        if client is not None:
            with suppress(RedisError, OSError, TimeoutError):
                async with asyncio.timeout(TIMEOUT):
                    await client.aclose()

    async def _guarded(
        self,
        action: Callable[[Redis], Coroutine[Any, Any, T]],
        timeout: float,  # noqa: ASYNC109
    ) -> T:
        try:
            async with fair_timeout(timeout):
                await self._lock.acquire()
        except TimeoutError as error:
            raise Away("redis is too slow") from error
        before = _cancellations()
        try:
            if self._client is None:
                # RESP2: the other protocol answers some commands in another shape.
                self._client = Redis.from_url(self._url, retry=Retry(NoBackoff(), 0), protocol=2)
            self.round_trips += 1
            async with fair_timeout(timeout):
                answer = await action(self._client)
        except (RedisError, OSError, TimeoutError, ValueError) as error:
            await self.close()
            if _cancellations() > before:
                raise asyncio.CancelledError from error
            raise _away(error) from error
        except asyncio.CancelledError:
            # An answer may be on its way, which the next call would take for its own.
            await self.close()
            raise
        finally:
            self._lock.release()
        if _cancellations() > before:  # redis-py takes one for itself at some moments
            raise asyncio.CancelledError
        return answer

    async def _run(
        self, client: Redis, script: str, several: Sequence[Sequence[Argument]]
    ) -> list[Answer]:
        digest = sha1(script.encode(), usedforsecurity=False).hexdigest()
        for _ in range(2):
            if digest not in self._loaded:
                await _plain(client, "SCRIPT LOAD", script)
                self._loaded.add(digest)
            pipeline = client.pipeline(transaction=False)
            for arguments in several:
                pipeline.execute_command("EVALSHA", digest, 1, PREFIX, *arguments)
            answers: list[Any] = await pipeline.execute(raise_on_error=False)
            failures = [one for one in answers if isinstance(one, Exception)]
            if not failures:
                return answers
            if not isinstance(failures[0], NoScriptError):
                raise failures[0]
            self._loaded.clear()  # of what was sent nothing has happened, or may happen twice
        raise RedisError("the script vanishes as soon as it is loaded")


def _cancellations() -> int:
    """How often the end of this task was asked for."""
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()


async def _plain(client: Redis, *words: Argument) -> Answer:
    execute: Any = client.execute_command  # has no types
    return cast(Answer, await execute(*words))


def _away(error: Exception) -> Away:
    if isinstance(error, TimeoutError):
        return Away("redis is too slow")
    if isinstance(error, AuthenticationError):
        return Away("redis asks for another password", lasting=True)
    if isinstance(error, ResponseError):
        word = str(error).split(" ", 1)[0]
        return Away(f"redis answers {word if word.isupper() else 'with an error'}")
    return Away(f"redis cannot be reached ({type(error).__name__})")
