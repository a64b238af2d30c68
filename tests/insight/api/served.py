"""An insight service over a store of its own, and a client of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import orjson
from yarl import URL

from tests.insight.stores import Line, take, write
from uaitools.auth.config import AuthConfig
from uaitools.insight.config import InsightConfig
from uaitools.insight.importing.rankings import SOURCE
from uaitools.insight.server import InsightServer
from uaitools.insight.service import InsightService
from uaitools.insight.store.opening import Store

SECRET = "a secret of the application, 32 bytes long"
AUTH = AuthConfig.model_validate({"jwt": {"secret": SECRET}})


def token(user: str = "ann", **claims: Any) -> str:
    """The value of Authorization for a user."""
    text = jwt.encode({"sub": user, "exp": 4_000_000_000, **claims}, SECRET, algorithm="HS256")
    return f"Bearer {text}"


@dataclass
class Answer:
    status: int
    raw: bytes
    headers: Mapping[str, str]

    @property
    def body(self) -> Any:
        return orjson.loads(self.raw)

    @property
    def cache(self) -> str:
        """HIT, MISS, STALE or COALESCED."""
        return self.headers["X-Cache"]


class Served:
    """One of this process."""

    def __init__(
        self, server: InsightServer, session: aiohttp.ClientSession, store: Store, folder: Path
    ) -> None:
        self.url = f"http://{server.address}"
        self.server = server
        self.service = server.service
        self.session = session
        self.store = store
        self._folder = folder

    async def ask(
        self, path: str, *, method: str = "GET", body: object = None, **headers: str
    ) -> Answer:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        url = URL(self.url + path, encoded=True)
        async with self.session.request(method, url, data=data, headers=sent) as got:
            return Answer(got.status, await got.read(), got.headers)

    async def take(self, day: date, lines: Iterable[Line], source: str = SOURCE) -> None:
        """Import the ranking of a day, and have the service know of it."""
        await self.take_quietly(day, lines, source)
        await self.service.following.look()

    async def take_quietly(self, day: date, lines: Iterable[Line], source: str = SOURCE) -> None:
        """Import it as another process would."""
        await take(self.store, write(self._folder, day, lines), source=source)

    async def summary(self, which: str, **headers: str) -> Answer:
        return await self.ask(f"/api/v1/fast/repositories/{which}/summary", **headers)


@asynccontextmanager
async def serving(
    store: Store,
    folder: Path,
    *,
    auth: AuthConfig | None = None,
    redis_url: str | None = None,
    **settings: Any,
) -> AsyncIterator[Served]:
    """One of those that a store has. folder: for files of its imports."""
    config = InsightConfig.model_validate({"listen": "127.0.0.1:0", **settings})
    service = InsightService(config, Path("/nowhere"), database=store.database, redis_url=redis_url)
    async with (
        InsightServer(config, service, auth=auth) as server,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
    ):
        yield Served(server, session, store, folder)
