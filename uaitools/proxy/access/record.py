"""What is kept of an exchange for its line in the access log; without a log there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uaitools.proxy.access.log import AccessLog
    from uaitools.proxy.exchange import Exchange
    from uaitools.proxy.tunnel import Tunnel
    from uaitools.proxy.upstream import Upstream


class Record:
    """Times and counts of one exchange.

    endpoint: the last one's address, or None. attached, answered: when it had a connection and
    when its answer began, monotonic, else 0. queued, connecting: seconds that it waited for the
    connection, without and for its making. sent: bytes of the answer's body. retries: times that
    the request was sent again.
    """

    __slots__ = (
        "_log",
        "answered",
        "attached",
        "connecting",
        "endpoint",
        "queued",
        "retries",
        "sent",
    )

    def __init__(self, log: AccessLog) -> None:
        self._log = log
        self.endpoint: str | None = None
        self.attached = self.answered = self.queued = self.connecting = 0.0
        self.sent = self.retries = 0

    def __repr__(self) -> str:
        return f"<Record endpoint={self.endpoint} sent={self.sent} retries={self.retries}>"

    def attach(self, upstream: Upstream, waited: float, now: float) -> None:
        """The request has a connection, after `waited` seconds."""
        self.attached = now
        if waited > 0 or not upstream.served:
            # Of a connection made for others, the making counts as far as it was waited for.
            self.connecting = 0.0 if upstream.served else min(upstream.took, waited)
            self.queued = waited - self.connecting

    def answer(self, endpoint: str | None, sent: int, now: float) -> None:
        """The answer has begun, with `sent` bytes of its body."""
        self.endpoint = endpoint
        self.sent = sent
        self.answered = now

    def end(self, exchange: Exchange, taken: float, received: int, end: bytes) -> None:
        """The exchange is over. received: bytes of the request's body. end: why, see ends."""
        self._log.exchange_ended(exchange, self, taken, received, end)

    def end_tunnel(self, exchange: Exchange, tunnel: Tunnel, taken: float, end: bytes) -> None:
        """What its 101 began is over."""
        self._log.tunnel_ended(exchange, self, tunnel, taken, end)
