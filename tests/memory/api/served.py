"""A memory service in a database of its own, and a client of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from tests.peers.gateways import eventually
from tests.peers.postgres import PostgresServer, fresh_database
from uaitools.auth.config import AuthConfig
from uaitools.memory.config import MemoryConfig
from uaitools.memory.server import MemoryServer
from uaitools.memory.service import MIGRATIONS, MemoryService
from uaitools.postgres.database import Database


@dataclass
class Answer:
    status: int
    body: Any
    headers: Mapping[str, str]


class Visitor:
    """Asks the service at a URL."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self.session = session

    async def ask(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        data = None if body is None else orjson.dumps(body)
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        async with self.session.request(method, self.url + path, data=data, headers=sent) as got:
            text = await got.read()
            json = got.content_type == "application/json" and text
            return Answer(got.status, orjson.loads(text) if json else text, got.headers)

    async def remember(self, content: str, user: str = "ann", **fields: Any) -> dict[str, Any]:
        answer = await self.ask(
            "POST", "/memories", {"user_id": user, "content": content, **fields}
        )
        assert answer.status == 201, answer
        made: dict[str, Any] = answer.body
        return made

    async def search(self, query: str, user: str = "ann", **fields: Any) -> list[dict[str, Any]]:
        asked = {"user_id": user, "query": query, **fields}
        answer = await self.ask("POST", "/memories/search", asked)
        assert answer.status == 200, answer
        found: list[dict[str, Any]] = answer.body["results"]
        return found


class Served(Visitor):
    """One of this process."""

    def __init__(self, server: MemoryServer, session: aiohttp.ClientSession) -> None:
        super().__init__(f"http://{server.address}", session)
        self.server = server
        self.service = server.service

    async def followed(self) -> None:
        """Until the index has everything."""
        while (await self.service.outbox.backlog()).size:
            await eventually(lambda: not self.service.following.failing)


@asynccontextmanager
async def served(
    postgres: PostgresServer, *, auth: AuthConfig | None = None, **settings: Any
) -> AsyncIterator[Served]:
    async with (
        fresh_database(postgres, migrations=MIGRATIONS) as database,
        serving(database, auth=auth, **settings) as one,
    ):
        yield one


@asynccontextmanager
async def serving(
    database: Database,
    *,
    auth: AuthConfig | None = None,
    redis_url: str | None = None,
    guest: bool = False,
    **settings: Any,
) -> AsyncIterator[Served]:
    """One of those that a database has."""
    config = MemoryConfig.model_validate(
        {"listen": "127.0.0.1:0", "embed": {"use": "hash"}, **settings}
    )
    service = MemoryService(
        config, Path("/nowhere"), database=database, redis_url=redis_url, guest=guest
    )
    async with (
        MemoryServer(config, service, auth=auth) as server,
        aiohttp.ClientSession() as session,
    ):
        yield Served(server, session)
