"""Connecting to services over TLS: whom they have to prove to be, and who we are to them."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Final

from uaitools.log import get_logger
from uaitools.proxy.config.tls import UpstreamTls
from uaitools.proxy.tls.material import UpstreamContexts
from uaitools.proxy.tls.transport import TlsTransport, reason

_log = get_logger(__name__)
_CLOSED: Final = "the service closed the connection within the handshake"


class TlsClient(TlsTransport):
    """Our end of a connection to a service. name: whom it has to prove to be."""

    __slots__ = ("_application", "_context", "_name", "outcome")

    def __init__(
        self,
        context: ssl.SSLContext,
        name: str,
        above: asyncio.Protocol,
        outcome: asyncio.Future[str],
    ) -> None:
        super().__init__()
        self._context = context
        self._name = name
        self._application = above
        self.outcome = outcome  # '' after a handshake, otherwise why there was none

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the ClientHello."""
        super().connection_made(transport)
        self._wrap(self._context, server=False, name=self._name)
        self._shake()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, perhaps within its handshake."""
        self._tell(_CLOSED)
        super().connection_lost(exc)

    def _established(self) -> asyncio.Protocol:
        self._tell("")
        return self._application

    def _failed(self, error: ssl.SSLError) -> None:
        self._tell(_CLOSED if isinstance(error, ssl.SSLEOFError) else reason(error))
        self._flush()  # the alert that says why
        if self._below is not None:
            self._below.close()

    def _tell(self, outcome: str) -> None:
        if not self.outcome.done():
            self.outcome.set_result(outcome)


class TlsConnector:
    """How a pool opens connections to one address.

    host: the endpoint's name as configured, which its certificate has to be for unless `tls`
    names another.
    """

    __slots__ = ("_address", "_contexts", "_name", "_port", "_refused", "_tls")

    def __init__(
        self, address: str, port: int, host: str, tls: UpstreamTls, contexts: UpstreamContexts
    ) -> None:
        self._address = address
        self._port = port
        self._name = tls.server_name or host
        self._tls = tls
        self._contexts = contexts
        self._refused = ""  # logged once, not at every attempt

    def __repr__(self) -> str:
        return f"<TlsConnector {self._address}:{self._port} name={self._name}>"

    async def __call__(self, factory: Callable[[], asyncio.Protocol]) -> None:
        """Connect and shake hands. Raises OSError; who cancels this ends the connection."""
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[str] = loop.create_future()
        context = self._contexts.get(self._tls)
        transport, _ = await loop.create_connection(
            lambda: TlsClient(context, self._name, factory(), outcome), self._address, self._port
        )
        try:
            refused = await outcome
        except asyncio.CancelledError:
            transport.abort()
            raise
        if refused != self._refused:
            self._refused = refused
            if refused:
                _log.warning(
                    "TLS to an endpoint failed",
                    endpoint=f"{self._address}:{self._port}",
                    name=self._name,
                    reason=refused,
                )
        if refused:
            raise ConnectionError(f"TLS with {self._name}: {refused}")
