"""The embedder at the other end of a connection: any OpenAI-compatible /v1/embeddings.

Texts go in batches of bounded size, a bounded number of them at a time. What may pass by itself
(no connection, 429, 5xx) is tried again, a bounded number of times; a server that fails call after
call is left alone by the circuit breaker until its time is up.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import aiohttp
import numpy as np
import orjson

from uaitools import log
from uaitools.backoff import full_jitter
from uaitools.bounded import read_bounded
from uaitools.memory.embed.answer import BadAnswer, largest, vectors
from uaitools.memory.embed.config import HttpEmbedderSettings
from uaitools.memory.embed.errors import EmbedderAway, EmbedderRefused
from uaitools.memory.embed.port import EmbeddingModel, Matrix
from uaitools.memory.turns import in_turns
from uaitools.tasks import spawn
from uaitools.traffic.breaker import BreakerPolicy, CircuitBreaker, State
from uaitools.traffic.retry_after import seconds_asked

_PAUSE: Final = (0.2, 5.0)  # seconds until a failed request is repeated, first and most
_PATIENCE: Final = 10.0  # seconds that the server may ask to wait; for longer others wait
_POLICY: Final = BreakerPolicy(eject=5, eject_max=60, ramp=0)

_log = log.get_logger(__name__)


class HttpEmbedder:
    """Asks a server. clock: monotonic seconds. uniform: random, 0 to 1. policy: of the breaker."""

    def __init__(
        self,
        settings: HttpEmbedderSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        uniform: Callable[[], float] = random.random,
        policy: BreakerPolicy = _POLICY,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._uniform = uniform
        version = f"{settings.model}-{settings.revision}"
        self._model = EmbeddingModel("http", version, settings.dimension)
        self._breaker = CircuitBreaker(policy, _told)
        self._room = asyncio.Semaphore(settings.concurrency)
        self._session: aiohttp.ClientSession | None = None

    def __repr__(self) -> str:
        state = "" if self._session else " stopped"
        return f"<HttpEmbedder {self._model}{state} {self._breaker.state.value}>"

    @property
    def model(self) -> EmbeddingModel:
        """The model that the server is asked for."""
        return self._model

    async def start(self) -> None:
        """Open the session. The server is not asked yet: it may come later than we do."""
        headers = {
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",  # so that an answer is as long as it is when read
            "User-Agent": "uaitools-memory",
        }
        if self._settings.key is not None:
            headers["Authorization"] = f"Bearer {self._settings.key.get_secret_value()}"
        self._session = aiohttp.ClientSession(
            headers=headers,
            auto_decompress=False,
            connector=aiohttp.TCPConnector(limit=0),  # `_room` is, and its wait is no timeout's
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=self._settings.timeout),
        )

    async def stop(self) -> None:
        """Close the session."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def embed(self, texts: Sequence[str]) -> Matrix:
        """A row for each text; one without a word is not sent, and gets zeros."""
        rows = np.zeros((len(texts), self._settings.dimension), dtype=np.float32)
        wanted = [position for position, text in enumerate(texts) if text.strip()]
        size = self._settings.texts
        batches = iter([wanted[at : at + size] for at in range(0, len(wanted), size)])
        workers = min(self._settings.concurrency, -(-len(wanted) // size))
        tasks = [
            spawn(self._work(batches, texts, rows), name=f"embed {number}")
            for number in range(workers)
        ]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()  # of one that has ended, without effect
            await asyncio.gather(*tasks, return_exceptions=True)
        return rows

    async def _work(self, batches: Iterator[list[int]], texts: Sequence[str], rows: Matrix) -> None:
        """Take one batch after the other, until there is none."""
        for batch in batches:
            rows[batch] = await self._ask([self._cut(texts[position]) for position in batch])

    def _cut(self, text: str) -> str:
        """What is sent of a text: its beginning, with what is no character replaced."""
        return text[: self._settings.longest].encode("utf-8", "replace").decode()

    async def _ask(self, texts: list[str]) -> Matrix:
        """The vectors of one batch, in as many attempts as there may be."""
        body = orjson.dumps({"model": self._settings.model, "input": texts})
        failures = 0
        while True:
            try:
                async with self._room:
                    answer = await self._attempt(body, len(texts))
            except _Again as again:
                failures += 1
                if failures >= self._settings.attempts or again.asked > _PATIENCE:
                    reason = str(again)
                    raise EmbedderAway(reason, retry_after=max(1.0, again.asked)) from again
                first, most = _PAUSE
                pause = full_jitter(failures - 1, self._uniform(), first=first, largest=most)
                await asyncio.sleep(max(pause, again.asked))
            else:
                return await self._read(answer, len(texts))

    async def _attempt(self, body: bytes, count: int) -> bytes:
        """The body of the answer to one request. Raises _Again, and EmbedderAway."""
        now = self._clock()
        if not self._breaker.share(now):
            wait = max(1.0, self._breaker.until - now)
            raise EmbedderAway("the embedder has failed call after call", retry_after=wait)
        ticket = self._breaker.admit(now)
        try:
            status, asked, answer = await self._post(body, count)
        except (aiohttp.ClientError, OSError) as error:  # a timeout is one of the latter
            connect = isinstance(error, aiohttp.ClientConnectorError)
            self._breaker.failure(ticket, self._clock(), connect=connect, last=True)
            late = isinstance(error, TimeoutError)
            reason = "does not answer in time" if late else "cannot be reached"
            raise _Again(f"the embedder {reason}") from error
        except BaseException:
            self._breaker.abandon(ticket, self._clock())
            raise
        if status >= 500:
            self._breaker.failure(ticket, self._clock(), last=True)
            raise _Again(f"the embedder fails (status {status})", asked)
        self._breaker.success(ticket, self._clock())
        if status == 429:
            raise _Again("the embedder has too much to do (status 429)", asked)
        if status != 200:
            raise EmbedderRefused(f"the embedder answers with status {status}")
        return answer

    async def _post(self, body: bytes, count: int) -> tuple[int, float, bytes]:
        """Status, seconds that it asks to wait, and body, which is read where it is of use."""
        if self._session is None:
            raise EmbedderAway("the embedder is stopped")
        async with self._session.post(
            self._settings.url, data=body, allow_redirects=False
        ) as response:
            value = response.headers.get("Retry-After", "").encode("latin-1", "replace")
            asked = seconds_asked(value, time.time()) or 0.0
            if response.status != 200:
                return response.status, asked, b""
            try:
                most = largest(count, self._settings.dimension)
                return 200, asked, await read_bounded(response, most)
            except ValueError as error:
                raise EmbedderRefused("the embedder answers with too much") from error

    async def _read(self, answer: bytes, count: int) -> Matrix:
        rows = np.zeros((count, self._settings.dimension), dtype=np.float32)
        try:
            await in_turns(vectors(answer, rows))
        except BadAnswer as error:
            raise EmbedderRefused(str(error)) from error
        return rows


class _Again(Exception):
    """It failed and may be tried again. asked: seconds that the server wants first."""

    def __init__(self, reason: str, asked: float = 0.0) -> None:
        super().__init__(reason)
        self.asked = asked


def _told(breaker: CircuitBreaker, old: State, new: State) -> None:
    if new is State.EJECTED and breaker.cause is not None:
        _log.warning("embedder left alone", cause=breaker.cause.value)
    elif new is State.HEALTHY and old is not State.HEALTHY:
        _log.info("embedder is back")
