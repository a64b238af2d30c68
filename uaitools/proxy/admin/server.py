"""The admin API's listener: an aiohttp application beside the gateway, in the same process."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from aiohttp import web

from uaitools import web as component
from uaitools.config import Address
from uaitools.log import get_logger
from uaitools.metrics import Snapshot
from uaitools.openapi import Described
from uaitools.proxy.admin.api import SERVICE, Api
from uaitools.proxy.admin.bounds import Bounded, Connections
from uaitools.proxy.admin.guard import guard
from uaitools.proxy.orders import Order
from uaitools.rest import serve
from uaitools.sockets import listening_socket

if TYPE_CHECKING:
    from uaitools.proxy.gateway import Gateway

_BODY_LIMIT: Final = 64 * 1024
_log = get_logger(__name__)


class Admin:
    """The admin API of a gateway: a service of `lifecycle.run`, or used by itself.

        async with Gateway(config) as gateway, Admin(gateway) as admin:
            print(admin.address)

    sock: a listening socket to use instead of opening `config.admin`. order: gives an order to
    every process, this one included; by default only to this one. reload, survey: see api.Api.
    connections: those that are open. It answers while the gateway drains.
    """

    def __init__(
        self,
        gateway: Gateway,
        *,
        sock: socket.socket | None = None,
        order: Callable[[Order], None] | None = None,
        reload: Callable[[], None] | None = None,
        survey: Callable[[bytes, int], Awaitable[list[bytes]]] | None = None,
    ) -> None:
        self._gateway = gateway
        self._socket = sock
        self._api = Api(gateway, order or gateway.obey, reload, survey)
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None
        self.connections = Connections()

    def __repr__(self) -> str:
        return f"<Admin {self._gateway.config.admin}>"

    @property
    def address(self) -> Address:
        """Where it listens. Raises RuntimeError before the start."""
        if self._socket is None:
            raise RuntimeError("the admin API has not been started")
        host, port = self._socket.getsockname()[:2]
        return Address(host, port)

    async def start(self) -> None:
        """Listen. Raises OSError when the address cannot be had, ValueError when there is none."""
        address = self._gateway.config.admin
        if address is None:
            raise ValueError("set proxy.admin to the address of the admin API")
        if self._socket is None:
            self._socket = listening_socket(address.host, address.port)
        self._runner = web.AppRunner(
            self._application(address), handle_signals=False, access_log=None
        )
        await self._runner.setup()
        handlers, connections = self._runner.server, self.connections
        assert handlers is not None
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Bounded(connections, handlers()), sock=self._socket
        )
        _log.info("admin API listening", address=str(self.address))

    async def drain(self, deadline: float) -> None:
        """Nothing waits for this: the API tells how the gateway drains."""

    async def stop(self) -> None:
        """Close the listener and its connections."""
        if self._server is not None:
            self._server.close()
        if self._runner is not None:
            await self._runner.cleanup()
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()

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

    def _application(self, address: Address) -> web.Application:
        async def snapshot() -> Snapshot:
            return (await self._gateway.gather()).metrics

        token = self._gateway.config.admin_token
        app = component.application(
            "proxy",
            health=self._gateway.health,
            snapshot=snapshot,
            app=web.Application(client_max_size=_BODY_LIMIT),
        )
        app.middlewares.append(guard(address, token.get_secret_value() if token else None))
        described = Described(
            "uaitools proxy: admin API",
            "What the gateway does, and orders while it runs.",
            secured=token is not None,
            always=(403, 503),  # 403: a page of another origin asks
        )
        serve(app, SERVICE, self._api.resources(), described)
        return app
