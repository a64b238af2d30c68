"""A real server with /v1/embeddings: it answers as OpenAI's does, or as a script says."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from types import TracebackType
from typing import Any, Self

from aiohttp import web

DIMENSION = 12

Answer = Callable[[list[str]], web.StreamResponse | Awaitable[web.StreamResponse]]


def vector(text: str) -> list[float]:
    """What the model makes of a text; of another length than 1."""
    numbers = random.Random(text)
    return [numbers.uniform(-3, 3) for _ in range(DIMENSION)]


def document(texts: list[str]) -> dict[str, Any]:
    """The answer, with its vectors in another order than the texts: `index` says which."""
    data = [
        {"object": "embedding", "index": index, "embedding": vector(text)}
        for index, text in enumerate(texts)
    ]
    return {"object": "list", "model": "small", "data": data[::-1], "usage": {"total_tokens": 1}}


def good(texts: list[str]) -> web.Response:
    return web.json_response(document(texts))


def status(code: int, **headers: str) -> Answer:
    return lambda _: web.Response(status=code, headers=headers, text="no vectors here")


class EmbeddingServer:
    """script: how the next requests are answered; those after are answered well."""

    def __init__(self) -> None:
        self.script: deque[Answer] = deque()
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.busy = self.most = 0
        self.held: asyncio.Event | None = None  # requests wait for it, if there is one
        self.came = asyncio.Semaphore(0)  # once a request
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        application = web.Application()
        application.router.add_post("/v1/embeddings", self._answer)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}/v1/embeddings"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.headers.append(dict(request.headers))
        asked = await request.json()
        self.requests.append(asked)
        self.busy += 1
        self.most = max(self.most, self.busy)
        self.came.release()
        try:
            if self.held is not None:
                await self.held.wait()
            answer = self.script.popleft() if self.script else good
            given = answer(asked["input"])
            return await given if isawaitable(given) else given
        finally:
            self.busy -= 1
