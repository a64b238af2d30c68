"""The registry as a server: its store, its API and the gateway's listener in front of it."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Final, Self

from uaitools.auth.config import AuthConfig
from uaitools.config import Address
from uaitools.proxy import Gateway, Mounted, ProxyConfig
from uaitools.registry.api.resources import BODY, Api
from uaitools.registry.config import RegistryConfig
from uaitools.registry.errors import SERVICE
from uaitools.registry.metrics import samples
from uaitools.registry.registry import Registry
from uaitools.registry.store.port import Store

# A watcher is quiet between two pings of its stream, every 30 s.
_CLIENT: Final = {"idle": 120, "tunnel": 120}


class RegistryServer:
    """A service of `lifecycle.run`, or used by itself.

        async with RegistryServer(RegistryConfig(), EmbeddedStore(directory)) as server:
            print(server.address)

    sockets: listening ones to use instead of opening `config.listen`. auth: whose tokens are
    good; without it everyone may do everything. environment: for /api/status.
    """

    def __init__(
        self,
        config: RegistryConfig,
        store: Store,
        *,
        auth: AuthConfig | None = None,
        sockets: Sequence[socket.socket] = (),
    ) -> None:
        self.registry = Registry(store, check_workers=config.check_workers)
        self.api = Api(self.registry, config.longest_wait)
        auth = auth or AuthConfig()
        found = [(one.direct, one) for one in self.api.resources() if one.direct is not None]
        mounted = Mounted(
            SERVICE,
            self.api.application(secured=auth.enabled),
            self._dependencies,
            partial(samples, self.registry, self.api),
            {direct.name: (direct.answer, one.status) for direct, one in found},
        )
        routes = [
            {
                "path": one.path,
                "exact": "{" not in one.path,
                "methods": [one.method],
                "service": direct.name,
                "max_body": BODY,
                "scopes": [one.scope] if auth.enabled else [],
            }
            for direct, one in found
        ]
        front = ProxyConfig.model_validate(
            {"listen": str(config.listen), "client": _CLIENT, "routes": routes}
        )
        self._gateway = Gateway(front, app=mounted, sockets=sockets, auth=auth)

    def __repr__(self) -> str:
        return f"<RegistryServer {self.registry!r}>"

    @property
    def address(self) -> Address:
        """Where it listens."""
        return self._gateway.address

    def _dependencies(self) -> Mapping[str, bool]:
        return {"store": not self.registry.store.failing}

    async def start(self) -> None:
        """Take up what the store has, then listen. Raises StoreError and OSError."""
        await self.registry.start()
        try:
            await self._gateway.start()
        except BaseException:
            await self._gateway.stop()
            await self.registry.stop()
            raise

    async def drain(self, deadline: float) -> None:
        """Answer who waits, send watchers elsewhere, finish what is under way."""
        self.api.streams.close()
        await self._gateway.drain(deadline)

    async def stop(self) -> None:
        """Release everything."""
        self.api.streams.close()
        await self._gateway.stop()
        await self.registry.stop()

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
