"""A registry that is served on a free port, its clock in the test's hand, and a client for it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from uaitools.auth.config import AuthConfig
from uaitools.registry.config import RegistryConfig
from uaitools.registry.server import RegistryServer
from uaitools.registry.store.embedded import EmbeddedStore

# With a check that has not spoken yet and does not soon: so a first heartbeat is a change.
CHECK = {"kind": "tcp", "interval": 86_400}
API = {"name": "api", "address": "127.0.0.1", "port": 9, "checks": [CHECK]}


@dataclass(slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    text: bytes

    @property
    def body(self) -> Any:
        return orjson.loads(self.text)


class Served:
    """What tests say to a registry."""

    def __init__(
        self, server: RegistryServer, session: aiohttp.ClientSession, clock: list[float]
    ) -> None:
        self.server = server
        self.session = session
        self._clock = clock

    @property
    def url(self) -> str:
        return f"http://{self.server.address}"

    async def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        data = None if body is None else orjson.dumps(body)
        sent = {"Content-Type": "application/json", **(headers or {})}
        async with self.session.request(
            method, f"{self.url}{path}", data=data, headers=sent
        ) as response:
            return Answer(response.status, response.headers, await response.read())

    async def register(self, identity: str = "a", **fields: object) -> dict[str, Any]:
        answer = await self.ask("POST", "/v1/services", {**API, "id": identity, **fields})
        assert answer.status == 201, answer.text
        registered: dict[str, Any] = answer.body
        return registered

    async def heartbeat(self, name: str = "a", generation: int = 1, **load: int) -> Answer:
        body: dict[str, object] = {"generation": generation}
        if load:
            body["load"] = load
        return await self.ask("PUT", f"/v1/services/{name}/heartbeat", body)

    async def listing(self, query: str = "", service: str = "api") -> Any:
        return (await self.ask("GET", f"/v1/services/{service}{query}")).body

    async def pass_time(self, seconds: float) -> None:
        """Let the registry's time pass, as it is watched second by second."""
        while seconds > 0:
            self._clock[0] += min(1.0, seconds)
            seconds -= 1.0
            await self.server.registry.tick()


@contextlib.asynccontextmanager
async def served(
    directory: Path | None = None,
    *,
    old: bool = True,
    auth: Mapping[str, object] | None = None,
    **config: object,
) -> AsyncIterator[Served]:
    """A running registry, that is old enough to know who is there."""
    clock = [1000.0]
    settings = RegistryConfig.model_validate({"listen": "127.0.0.1:0", **config})
    store = EmbeddedStore(directory, policy=settings.policy, clock=lambda: clock[0])
    configured = AuthConfig.model_validate(auth or {})
    async with (
        RegistryServer(settings, store, auth=configured) as server,
        aiohttp.ClientSession() as session,
    ):
        running = Served(server, session, clock)
        if old:
            await running.pass_time(90)
        yield running
        await session.close()
        await asyncio.sleep(0)
