"""The hub as a server: an aiohttp application, listening."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

from aiohttp import web

from uaitools import log
from uaitools.addresses import Address
from uaitools.auth.authenticator import Authenticator
from uaitools.auth.config import AuthConfig
from uaitools.hub.application import application
from uaitools.hub.broker.port import Broker
from uaitools.hub.config import HubConfig
from uaitools.hub.errors import SERVICE
from uaitools.hub.hub import Hub
from uaitools.hub.siblings import Siblings
from uaitools.sockets import listening_socket

BACKLOG: Final = 4096  # connections that wait to be accepted, as after a drain of another node
_LINE: Final = 128 * 1024  # bytes of a URL: 32 channels with their places and tokens fit
_FIELD: Final = 32 * 1024  # of a header: their places are in Last-Event-ID as well

_log = log.get_logger(__name__)


class HubServer:
    """A service of `lifecycle.run`, or used by itself.

        async with HubServer(HubConfig(listen=Address("127.0.0.1", 0))) as server:
            print(server.address)

    auth: whose credentials are good; without it everyone may do everything. broker: what shares
    messages with other nodes. sockets: listening ones to use instead of opening `config.listen`.
    siblings: the other workers of the same hub. echo: say what a WebSocket at /echo says, for the
    Autobahn testsuite.
    """

    def __init__(
        self,
        config: HubConfig,
        *,
        auth: AuthConfig | None = None,
        broker: Broker | None = None,
        sockets: Sequence[socket.socket] = (),
        siblings: Siblings | None = None,
        echo: bool = False,
    ) -> None:
        auth = auth or AuthConfig()
        self._authenticator = Authenticator(auth, audience=SERVICE) if auth.enabled else None
        self.hub = Hub(config, authenticator=self._authenticator, broker=broker)
        self._config = config
        self._sockets = tuple(sockets)
        self._siblings = siblings
        self._echo = echo
        self._runner: web.AppRunner | None = None
        self._address = config.listen

    def __repr__(self) -> str:
        return f"<HubServer {self.address} {self.hub!r}>"

    @property
    def address(self) -> Address:
        """Where it listens."""
        return self._address

    async def start(self) -> None:
        """Take part, then listen. Raises OSError and Unavailable."""
        if self._authenticator is not None:
            await self._authenticator.start()
        try:
            await self.hub.start()
            await self._listen()
        except BaseException:
            await self.stop()
            raise

    async def drain(self, deadline: float) -> None:
        """Send everybody elsewhere, finish what is under way."""
        await self.hub.drain(deadline)

    async def stop(self) -> None:
        """Release everything."""
        await self.hub.stop()
        if self._runner is not None:
            await self._runner.cleanup()
        if self._authenticator is not None:
            await self._authenticator.stop()

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

    async def _listen(self) -> None:
        app = application(self.hub, siblings=self._siblings, echoes=self._echo)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            handler_cancellation=True,
            shutdown_timeout=1,
            max_line_size=_LINE,
            max_field_size=_FIELD,
        )
        await self._runner.setup()
        listen = self._config.listen
        listeners = self._sockets or (listening_socket(listen.host, listen.port),)
        sites = [web.SockSite(self._runner, one, backlog=BACKLOG) for one in listeners]
        for site in sites:
            await site.start()
        self._address = Address(*self._runner.addresses[0][:2])
        _log.info("listening", address=str(self._address))
