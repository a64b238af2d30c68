"""A connection to Redis: calls of scripts, each within a bounded time, and one error for all."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from hashlib import sha1
from typing import Any, Final, TypeVar, cast
from urllib.parse import urlsplit

from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    ClusterDownError,
    NoScriptError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)

from uaitools.fair_timeout import fair_timeout

TIMEOUT: Final = 2.0  # seconds for a call, connecting included
LARGE: Final = 10.0  # seconds for one with a snapshot
Argument = str | bytes | int
Answer = list[Any]
T = TypeVar("T")
# Answers of a server that would say the same to whatever it is asked.
_UNABLE: Final = (ReadOnlyError, ClusterDownError, TryAgainError)
_UNABLE_WORDS: Final = frozenset({"MISCONF", "NOREPLICAS", "BUSY"})


class Away(Exception):
    """Redis did not answer, or not as it should; what was sent may have happened or not.

    The text is fit to be shown: a reason, and never the URL, which may hold a password. lasting:
    asking again will not help. refused: Redis is well, and would not do just this.
    """

    def __init__(self, reason: str, *, lasting: bool = False, refused: bool = False) -> None:
        super().__init__(reason)
        self.lasting = lasting
        self.refused = refused


class Link:
    """One connection to the Redis at `url`, opened when it is first used. One call at a time.

    key: KEYS[1] of every script; where it is '', each call gives its own before its arguments.
    identified: ARGV[1] of every script is the `run_id` of the server that it runs on, which is
    another one after each restart.
    """

    __slots__ = (
        "_connection",
        "_identified",
        "_key",
        "_loaded",
        "_lock",
        "_run",
        "_url",
        "address",
        "round_trips",
    )

    def __init__(self, url: str, key: str = "", *, identified: bool = False) -> None:
        self._url = url
        self._key = key
        self._identified = identified
        self.address = address_of(url)
        self.round_trips = 0
        self._connection: AbstractConnection | None = None
        self._run = b""
        self._loaded: set[str] = set()  # scripts that this connection has seen loaded
        self._lock = asyncio.Lock()

    def __repr__(self) -> str:
        state = "closed" if self._connection is None else "open"
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
        answers = []
        for answer in await self.each([(script, arguments) for arguments in several], timeout):
            if isinstance(answer, Away):
                raise answer
            answers.append(answer)
        return answers

    async def each(
        self,
        several: Sequence[tuple[str, Sequence[Argument]]],
        timeout: float = TIMEOUT,  # noqa: ASYNC109
    ) -> list[Answer | Away]:
        """What scripts answer, sent together, or why one failed; others are done all the same.

        Raises Away when it is not known what was done.
        """
        return await self._guarded(lambda connection: self._run_each(connection, several), timeout)

    async def read(self, stream: str, after: str, block: float, count: int) -> Answer:
        """Entries of a stream: waits `block` seconds for the first. Raises Away."""
        words = ("COUNT", count, "BLOCK", int(block * 1000), "STREAMS", stream, after)
        found = await self._guarded(lambda one: _plain(one, "XREAD", *words), block + TIMEOUT)
        return [(name, read_entries(raw)) for name, raw in found or ()]

    async def command(self, *words: Argument) -> Answer:
        """What a command answers. Raises Away."""
        return await self._guarded(lambda connection: _plain(connection, *words), TIMEOUT)

    async def close(self) -> None:
        """Close the connection; the next call opens another."""
        connection, self._connection = self._connection, None
        self._loaded.clear()
        if connection is not None:
            await disconnect(connection)

    async def _guarded(
        self,
        action: Callable[[AbstractConnection], Coroutine[Any, Any, T]],
        timeout: float,  # noqa: ASYNC109
    ) -> T:
        if not self._lock.locked():
            await self._lock.acquire()
        else:
            try:
                async with fair_timeout(timeout):
                    await self._lock.acquire()
            except TimeoutError as error:
                raise Away("redis is too slow") from error
        before = _cancellations()
        try:
            self.round_trips += 1
            async with fair_timeout(timeout):
                answer = await action(await self._connected())
        except (RedisError, OSError, TimeoutError, ValueError) as error:
            await self.close()
            if _cancellations() > before:
                raise asyncio.CancelledError from error
            raise away(error) from error
        except (Away, asyncio.CancelledError):
            # An answer may be on its way, which the next call would take for its own.
            await self.close()
            raise
        finally:
            self._lock.release()
        if _cancellations() > before:  # redis-py takes one for itself at some moments
            raise asyncio.CancelledError
        return answer

    async def _connected(self) -> AbstractConnection:
        # Not by a client, which connects again without a word: that may be another server.
        if self._connection is not None:
            if not await _ended(self._connection):
                return self._connection
            await self.close()
        connection = self._connection = connection_to(self._url)
        await connect(connection)
        if self._identified:
            self._run = await _run_of(connection)
        return connection

    async def _run_each(
        self, connection: AbstractConnection, several: Sequence[tuple[str, Sequence[Argument]]]
    ) -> list[Answer | Away]:
        first = (self._key,) if self._key else ()
        for _ in range(2):
            scripts = {script for script, _ in several}
            digests = {script: await self._load(connection, script) for script in scripts}
            await connection.send_packed_command(
                connection.pack_commands(
                    ("EVALSHA", digests[script], 1, *self._told((*first, *arguments)))
                    for script, arguments in several
                )
            )
            answers: list[Any] = [await _answer(connection) for _ in several]
            if not any(isinstance(one, NoScriptError) for one in answers):
                return [away(one) if isinstance(one, RedisError) else one for one in answers]
            self._loaded.clear()  # of what was sent nothing has happened, or may happen twice
        raise RedisError("the script vanishes as soon as it is loaded")

    def _told(self, words: Sequence[Argument]) -> Sequence[Argument]:
        return (words[0], self._run, *words[1:]) if self._identified else words

    async def _load(self, connection: AbstractConnection, script: str) -> str:
        digest = _digest(script)
        if digest not in self._loaded:
            await _plain(connection, "SCRIPT", "LOAD", script)
            self._loaded.add(digest)
        return digest


def address_of(url: str) -> str:
    """Host and port, or the path, of the Redis at a URL: fit to be shown."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or 6379}" if parts.hostname else parts.path


def connection_to(url: str) -> AbstractConnection:
    """A connection that is not yet made. RESP2: the other protocol answers in another shape."""
    pool: Any = ConnectionPool.from_url(  # some of its methods have no types
        url, retry=Retry(NoBackoff(), 0), protocol=2, socket_timeout=None
    )
    return cast(AbstractConnection, pool.make_connection())


async def connect(connection: AbstractConnection) -> None:
    """Make a connection. Raises what redis-py does."""
    untyped: Any = connection
    await untyped.connect()


async def disconnect(connection: AbstractConnection) -> None:
    """Close a connection, however it is."""
    with suppress(RedisError, OSError, TimeoutError):
        async with asyncio.timeout(TIMEOUT):
            await connection.disconnect()


async def answer_of(connection: AbstractConnection) -> Any:
    """What comes next over a connection, however long that takes. Raises what redis-py does."""
    return await connection.read_response(timeout=math.inf)


def read_entries(
    raw: Iterable[tuple[bytes, Sequence[bytes]]],
) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """Entries of a stream, their fields by name."""
    return [(name, dict(zip(f[::2], f[1::2], strict=True))) for name, f in raw]


def away(error: Exception) -> Away:
    """What a failure of redis-py, or of the network below it, is called here."""
    if isinstance(error, TimeoutError):
        return Away("redis is too slow")
    if isinstance(error, AuthenticationError):
        return Away("redis asks for another password", lasting=True)
    if isinstance(error, ResponseError):
        # Some classes of redis-py have cut the code off the text.
        word = getattr(error, "status_code", None) or str(error).split(" ", 1)[0]
        unable = isinstance(error, _UNABLE) or word in _UNABLE_WORDS
        text = f"redis answers {word if word.isupper() else 'with an error'}"
        return Away(text, refused=not unable)
    return Away(f"redis cannot be reached ({type(error).__name__})")


async def _run_of(connection: AbstractConnection) -> bytes:
    """The `run_id` of the server. Raises Away when it is not said."""
    with suppress(ResponseError):
        told: Any = await _plain(connection, "INFO", "server")
        _, found, rest = told.partition(b"run_id:")
        if found:
            return bytes(rest.split(maxsplit=1)[0])
    raise Away("redis does not say its run_id; allow INFO to its user", lasting=True)


async def _ended(connection: AbstractConnection) -> bool:
    """Whether the server has closed it, or has said what nobody asked for."""
    untyped: Any = connection
    # redis-py has another name for it since 8.0.
    readable = getattr(untyped, "can_read", None) or untyped.can_read_destructive
    try:
        return bool(await readable())
    except (RedisError, OSError):
        return True


def _cancellations() -> int:
    """How often the end of this task was asked for."""
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()


async def _plain(connection: AbstractConnection, *words: Argument) -> Answer:
    await connection.send_packed_command(connection.pack_commands((words,)))
    return cast(Answer, await answer_of(connection))


async def _answer(connection: AbstractConnection) -> Any:
    """What comes next, an error as well."""
    try:
        return await answer_of(connection)
    except ResponseError as error:
        return error


_digests: dict[str, str] = {}  # of the few scripts that there are


def _digest(script: str) -> str:
    found = _digests.get(script)
    if found is None:
        found = _digests[script] = sha1(script.encode(), usedforsecurity=False).hexdigest()
    return found
