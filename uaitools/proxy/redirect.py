"""The plain listener beside a TLS one: sends every request on to https (RFC 9110 15.4.9).

What is no request by our rules is refused as it would be there. An answer ends its connection:
who follows it connects elsewhere.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from email.utils import formatdate
from time import monotonic
from typing import TYPE_CHECKING, Final

from uaitools.errors import ServiceError
from uaitools.proxy.connection import Connection
from uaitools.proxy.headers import error_answer
from uaitools.proxy.http1.grammar import MessageError
from uaitools.proxy.http1.request import RequestHead, check_partial_head
from uaitools.proxy.ids import random_digits
from uaitools.proxy.sweep import NEVER

if TYPE_CHECKING:
    from uaitools.proxy.clients import Clients
    from uaitools.proxy.outbox import Outbox
    from uaitools.proxy.sweep import Sweep

_LINGER_SECONDS: Final = 5.0
_DISCARD_LIMIT: Final = 256 * 1024  # of a body that nobody wants; then the connection is reset
_PORT: Final = re.compile(rb":[0-9]*$")
_HTTPS: Final = 443


class Redirects:
    """What the connections of a redirecting listener share.

    port: where the TLS listener is for clients. malformed: told the status of what is refused.
    """

    __slots__ = ("_clients", "_suffix", "_sweep", "answered", "malformed", "outbox")

    def __init__(
        self,
        port: int,
        clients: Clients,
        sweep: Sweep,
        outbox: Outbox,
        malformed: Callable[[int], None],
    ) -> None:
        self._suffix = b"" if port == _HTTPS else b":%d" % port
        self._clients = clients
        self._sweep = sweep
        self.outbox = outbox
        self.malformed = malformed
        self.answered = 0

    def __repr__(self) -> str:
        return f"<Redirects answered={self.answered}>"

    @property
    def patience(self) -> float:
        """Seconds for a head."""
        return self._clients.policy.header

    def accept(self) -> Redirected:
        """The protocol of a new connection."""
        return Redirected(self)

    def begun(self, connection: Redirected) -> bool:
        """Count a connection in; False when it is one too many."""
        self._sweep.connections.add(connection)
        return self._clients.greet(connection)

    def over(self, connection: Redirected) -> None:
        """A connection has ended."""
        self._sweep.connections.discard(connection)
        self._clients.greeted(connection)

    def location(self, head: RequestHead) -> bytes:
        """Where to go: the request's own host and target, by https. Raises MessageError 400."""
        host = _PORT.sub(b"", head.host or b"")
        if not host:
            raise MessageError(400, "a request without a host cannot be sent on to https")
        path = b"" if head.path == b"*" else head.path
        return b"".join((b"https://", host, self._suffix, path, head.query))


class Redirected(Connection):
    """One connection of the redirecting listener: a head, an answer, the end."""

    __slots__ = ("_answered", "_buffer", "_discarded", "_redirects")

    def __init__(self, redirects: Redirects) -> None:
        super().__init__(redirects.outbox)
        self._redirects = redirects
        self._buffer = b""
        self._answered = False
        self._discarded = 0

    def __repr__(self) -> str:
        return f"<Redirected answered={self._answered}>"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a head."""
        self._connected(transport)
        self.deadline = monotonic() + self._redirects.patience
        if not self._redirects.begun(self):
            self._refuse(ServiceError(503, "too many connections; try again", "proxy"))

    def data_received(self, data: bytes) -> None:
        """Answer a head; what follows it is read away."""
        if self._answered:
            self._discarded += len(data)
            if self._discarded > _DISCARD_LIMIT:
                self.cut_off()
            return
        self._buffer += data
        raw, end, rest = self._buffer.partition(b"\r\n\r\n")
        try:
            if not end:
                check_partial_head(raw)
                return
            head = RequestHead(raw.removeprefix(b"\r\n"))
            location = self._redirects.location(head)
        except MessageError as error:
            self._redirects.malformed(error.code)
            self._refuse(error)
            return
        self._redirects.answered += 1
        lines = (
            b"HTTP/1.1 308 Permanent Redirect\r\nLocation: ",
            location,
            b"\r\nContent-Length: 0\r\nDate: ",
            formatdate(usegmt=True).encode(),
        )
        # RFC 9112 9.6: a close with unread bytes would reset the answer.
        self._finish(b"".join(lines), linger=bool(head.body or rest))

    def eof_received(self) -> bool:
        """The client sends no more."""
        self._eof = True
        self._outbox.flush()  # a close would drop what is not transmitted
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        del exc
        self._disconnected()
        self._redirects.over(self)

    def expire(self, now: float) -> None:
        """The head takes too long, or the answer is not taken."""
        del now
        if self._answered:
            self.cut_off()
        elif self._buffer:
            self._refuse(MessageError(408, "the request head did not arrive in time"))
        else:
            self._answered = True
            self.deadline = monotonic() + _LINGER_SECONDS
            self._close_transport()

    def cut_off(self) -> None:
        """End the connection at once."""
        self.deadline = NEVER
        self._outbox.flush()
        self._reset()

    def _refuse(self, error: ServiceError) -> None:
        request_id = next(random_digits)[:32].decode()
        head, content = error_answer(error, request_id, formatdate(usegmt=True))
        lines = b"%b%bX-Request-Id: %b" % (head.start, head.length, request_id.encode())
        self._finish(lines, content, linger=True)

    def _finish(self, head: bytes, content: bytes = b"", *, linger: bool) -> None:
        self._answered = True
        self._buffer = b""
        self.deadline = monotonic() + _LINGER_SECONDS
        self.write(b"".join((head, b"\r\nConnection: close\r\n\r\n", content)))
        if linger:
            self.write_eof()
        else:
            self._close_transport()
