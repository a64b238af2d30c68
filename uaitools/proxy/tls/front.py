"""The front of a gateway with `[proxy.tls]`: its TLS listener, its certificates, its redirects."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from uaitools.log import get_logger
from uaitools.proxy.redirect import Redirects
from uaitools.proxy.tls.certificates import Certificates
from uaitools.proxy.tls.material import MaterialError
from uaitools.proxy.tls.server import TlsListener
from uaitools.sockets import listening_socket

if TYPE_CHECKING:
    from uaitools.proxy.clients import Clients
    from uaitools.proxy.config import ListenerTls
    from uaitools.proxy.outbox import Outbox
    from uaitools.proxy.sweep import Sweep

_log = get_logger(__name__)


class Front:
    """What stands between the sockets of a TLS gateway and its clients.

    redirect: a listening socket to serve instead of opening `settings.redirect`. Raises
    MaterialError when a certificate cannot be used.
    """

    def __init__(
        self,
        settings: ListenerTls,
        above: Callable[[], asyncio.Protocol],
        clients: Clients,
        sweep: Sweep,
        redirect: socket.socket | None = None,
    ) -> None:
        self._settings = settings
        self._clients = clients
        self._sweep = sweep
        self._socket = redirect
        self._server: asyncio.Server | None = None
        self.certificates = Certificates(settings)
        self.listener = TlsListener(
            self.certificates.choose, above, clients, sweep, settings.handshake
        )

    def __repr__(self) -> str:
        return f"<Front {self.certificates!r} {self.listener!r}>"

    @property
    def added(self) -> bytes:
        """The lines that every answer gets (RFC 6797 7.1)."""
        hsts = self._settings.hsts
        return b"" if hsts is None else b"Strict-Transport-Security: %b\r\n" % hsts.encode()

    @property
    def redirect_port(self) -> int | None:
        """Where plain HTTP is redirected; None when nowhere."""
        return self._socket.getsockname()[1] if self._socket is not None else None

    async def start(self, port: int, outbox: Outbox, malformed: Callable[[int], None]) -> None:
        """Follow the files and serve redirects to `port`. Raises OSError."""
        self.certificates.start()
        settings = self._settings
        if settings.redirect is None:
            return
        if self._socket is None:
            self._socket = listening_socket(settings.redirect.host, settings.redirect.port)
        redirects = Redirects(
            settings.public_port or port, self._clients, self._sweep, outbox, malformed
        )
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(redirects.accept, sock=self._socket, backlog=4096)
        _log.info("redirecting to https", port=self.redirect_port)

    async def reload(self, settings: ListenerTls) -> None:
        """Put other settings into force for connections to come; broken files change nothing."""
        try:
            await self.certificates.replace(settings)
        except MaterialError as error:
            _log.error("a certificate is broken, the old ones stay", reason=str(error))
            return
        self.listener.patience = settings.handshake
        self._settings = settings

    def close(self) -> None:
        """Accept nobody new."""
        if self._server is not None:
            self._server.close()

    async def stop(self) -> None:
        """Release everything but the connections, which are the clients'."""
        self.close()
        await self.certificates.stop()
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()
