"""The memory service as a server: its parts, its resources and the gateway's listener in front."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Final, Self

from aiohttp import web

from uaitools.auth.config import AuthConfig
from uaitools.config import Address
from uaitools.memory.api.resources import add_resources
from uaitools.memory.config import MemoryConfig
from uaitools.memory.errors import SERVICE
from uaitools.memory.mcp.http import add_mcp
from uaitools.memory.metrics import samples
from uaitools.memory.service import MemoryService
from uaitools.proxy import Gateway, Mounted, ProxyConfig

BODY: Final = 8 << 20  # bytes of a request


class MemoryServer:
    """A service of `lifecycle.run`, or used by itself.

        async with MemoryServer(MemoryConfig(), MemoryService(config, directory)) as server:
            print(server.address)

    auth: whose credentials are good; without it everyone may do everything, and names the user.
    sockets: listening ones to use instead of opening `config.listen`.
    """

    def __init__(
        self,
        config: MemoryConfig,
        service: MemoryService,
        *,
        auth: AuthConfig | None = None,
        sockets: Sequence[socket.socket] = (),
    ) -> None:
        self.service = service
        auth = auth or AuthConfig()
        app = web.Application(client_max_size=BODY)
        add_resources(app, service, secured=auth.enabled)
        add_mcp(app, service, config.cors)
        mounted = Mounted(
            SERVICE,
            app,
            self._dependencies,
            partial(samples, service),
            required=("database",),
        )
        front = ProxyConfig.model_validate(
            {"listen": str(config.listen), "cors": config.cors, "routes": []}
        )
        self._gateway = Gateway(front, app=mounted, sockets=sockets, auth=auth)

    def __repr__(self) -> str:
        return f"<MemoryServer {self.service!r}>"

    @property
    def address(self) -> Address:
        """Where it listens."""
        return self._gateway.address

    async def start(self) -> None:
        """Open what it needs, then listen. Raises what MemoryService.start does, and OSError."""
        await self.service.start()
        try:
            await self._gateway.start()
        except BaseException:
            await self._gateway.stop()
            await self.service.stop()
            raise

    async def drain(self, deadline: float) -> None:
        """Finish what is under way."""
        await self._gateway.drain(deadline)

    async def stop(self) -> None:
        """Release everything."""
        await self._gateway.stop()
        await self.service.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    def _index_works(self) -> bool:
        watch = self.service.index_watch
        return watch.healthy and not watch.lacks and not self.service.following.failing

    def _dependencies(self) -> Mapping[str, bool]:
        return {
            "database": not self.service.probe.failing,
            "index": self._index_works(),
            "cache": not self.service.cache.failing,
        }
