"""A client's connection from accept to the end of its handshake, and the listener of such clients.

Until the handshake is over a connection is nobody's client: it counts among them, has a deadline
of its own, and costs little before its ClientHello is whole.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Final

from uaitools.errors import ServiceError, error_body
from uaitools.proxy.sweep import NEVER
from uaitools.proxy.tls.hello import server_name, speaks_http
from uaitools.proxy.tls.transport import TlsTransport
from uaitools.sockets import reset

if TYPE_CHECKING:
    from uaitools.proxy.clients import Clients
    from uaitools.proxy.sweep import Sweep

_FAREWELL: Final = 2.0  # seconds for the alert that ends a handshake
_PLAIN: Final = ServiceError(400, "this port speaks TLS; use https://", "proxy")
# OpenSSL's reasons, in the few kinds that an operator can act on; others are `protocol`.
_KINDS: Final = {
    "CERTIFICATE_VERIFY_FAILED": "certificate",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "certificate",
    "UNSUPPORTED_PROTOCOL": "version",
    "VERSION_TOO_LOW": "version",
    "NO_SHARED_CIPHER": "cipher",
    "NO_SUITABLE_SIGNATURE_ALGORITHM": "cipher",
    "TLSV1_ALERT_UNKNOWN_CA": "refused",
    "SSLV3_ALERT_BAD_CERTIFICATE": "refused",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "refused",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "refused",
}


class TlsListener:
    """What the connections of one TLS listener share.

    choose: the context for the name that a client asks for. above: the protocol that serves a
    client. patience: seconds for a handshake. failures: handshakes that came to nothing, by kind:
    certificate (the client's), cipher, closed, http (not TLS at all), protocol, refused (by the
    client, over our certificate), timeout, version.
    """

    __slots__ = ("_above", "_choose", "_clients", "_sweep", "failures", "patience")

    def __init__(
        self,
        choose: Callable[[str], ssl.SSLContext],
        above: Callable[[], asyncio.Protocol],
        clients: Clients,
        sweep: Sweep,
        patience: float,
    ) -> None:
        self._choose = choose
        self._above = above
        self._clients = clients
        self._sweep = sweep
        self.patience = patience
        self.failures: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<TlsListener failures={sum(self.failures.values())}>"

    def accept(self) -> TlsServer:
        """The protocol of a new connection."""
        return TlsServer(self)

    def begun(self, connection: TlsServer) -> bool:
        """A connection is about to shake hands; False when it is one too many."""
        self._sweep.connections.add(connection)
        return self._clients.greet(connection)

    def over(self, connection: TlsServer) -> None:
        """A handshake has ended, or its connection has."""
        self._sweep.connections.discard(connection)
        self._clients.greeted(connection)

    def failed(self, kind: str) -> None:
        """Count a handshake that came to nothing."""
        self.failures[kind] = self.failures.get(kind, 0) + 1

    def context(self, name: str) -> ssl.SSLContext:
        """With the certificate for `name`."""
        return self._choose(name)

    def serve(self) -> asyncio.Protocol:
        """The protocol that goes on after a handshake."""
        return self._above()


class TlsServer(TlsTransport):
    """Our end of a client's connection."""

    __slots__ = ("_counted", "_hello", "_listener")

    def __init__(self, listener: TlsListener) -> None:
        super().__init__()
        self._listener = listener
        self._hello = b""
        self._counted = False  # the handshake has ended, one way or the other

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a ClientHello."""
        super().connection_made(transport)
        self.deadline = monotonic() + self._listener.patience
        if not self._listener.begun(self):
            self._end("limit")
            self.cut_off()

    def data_received(self, data: bytes) -> None:
        """Begin with the whole ClientHello; the rest is the transport's."""
        if self._object is None and not self._closing:
            data = self._hello + data
            if speaks_http(data):
                self._refuse_http()
                return
            name = server_name(data)
            if name is None:
                self._hello = data
                return
            self._hello = b""
            self._wrap(self._listener.context(name), server=True)
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, perhaps within its handshake."""
        self._end("closed")
        self._listener.over(self)
        super().connection_lost(exc)

    def expire(self, now: float) -> None:
        """The handshake takes too long, or the alert that ended it is not taken."""
        del now
        self._end("timeout")
        self.cut_off()

    def cut_off(self) -> None:
        """End the connection at once."""
        self.deadline = NEVER
        self._closing = True
        if self._below is not None:
            reset(self._below)

    def _established(self) -> asyncio.Protocol:
        self._counted = True
        self.deadline = NEVER
        self._listener.over(self)
        return self._listener.serve()

    def _failed(self, error: ssl.SSLError) -> None:
        closed = isinstance(error, ssl.SSLEOFError)
        code: str = getattr(error, "reason", None) or ""  # only OpenSSL's own have one
        self._end("closed" if closed else _KINDS.get(code, "protocol"))
        self._flush()  # the alert that says why
        self._leave()

    def _refuse_http(self) -> None:
        """Say in plain HTTP what is wrong: the client understands nothing else."""
        self._closing = True
        self._end("http")
        if self._below is not None:
            content = error_body(_PLAIN, "")
            head = (
                "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(content)}\r\nConnection: close\r\n\r\n"
            )
            self._below.write(head.encode() + content)
        self._leave()

    def _leave(self) -> None:
        self.deadline = monotonic() + _FAREWELL
        if self._below is not None:
            self._below.close()

    def _end(self, kind: str) -> None:
        if not self._counted:
            self._counted = True
            self._listener.failed(kind)
