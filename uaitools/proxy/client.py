"""Where a request came from and its answer goes to, as an exchange sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from uaitools.proxy.exchange import Exchange
    from uaitools.proxy.http1.response import ResponseHead
    from uaitools.proxy.tunnel import Tunnel
    from uaitools.proxy.upstream import Upstream


class Client(Protocol):
    """The raw listener's connection, or a request that aiohttp has received."""

    @property
    def name(self) -> str:
        """By which the gateway goes there, in errors of its own."""

    @property
    def message_as(self) -> str:
        """A further field that errors have there, see errors.error_body."""

    @property
    def address(self) -> bytes:
        """The peer's address for X-Forwarded-For."""

    @property
    def full(self) -> bool:
        """It does not keep up with the answer."""

    def respond(
        self, exchange: Exchange, head: ResponseHead, payload: bytes, now: float, done: bool
    ) -> None:
        """Send a final head with the first piece of its body."""

    def relay(self, exchange: Exchange, payload: bytes, now: float, *, done: bool) -> None:
        """Send more of the body."""

    def inform(self, head: ResponseHead) -> None:
        """Send a 1xx response."""

    def proceed(self) -> None:
        """Begin to read the request's body; answers `Expect: 100-continue`."""

    def upgrade(self, exchange: Exchange, head: ResponseHead, upstream: Upstream) -> Tunnel:
        """Send the 101 and become one side of a tunnel."""

    def pause_body(self) -> None:
        """Read no more of the request's body for now."""

    def resume_body(self) -> None:
        """Read on."""

    def break_off(self) -> None:
        """End the connection so that a truncated answer cannot look whole."""
