"""A WebSocket as the hub sees it, whatever carries it."""

from __future__ import annotations

from typing import Final, Literal, Protocol

from uaitools.hub.closing import Closing

PATIENCE: Final = 5.0  # seconds that a peer has to answer a close frame
HIGH_WATER: Final = 32 * 1024  # bytes that wait to be sent; then a socket is paused

Kind = Literal["native", "aiohttp", "event"]


class Socket(Protocol):
    """One client's connection.

    paused: more than it should waits to be sent; write nothing that can wait, see
    Receiver.resumed. heard: when anything last came, by the loop's clock. sent: bytes.
    """

    heard: float
    sent: int

    @property
    def kind(self) -> Kind:
        """What carries it."""

    @property
    def paused(self) -> bool:
        """More than it should waits to be sent."""

    @property
    def deflate(self) -> bool:
        """Whether its client reads compressed frames."""

    @property
    def kept(self) -> int:
        """Bytes kept: of messages that are not whole yet, and of what waits to be sent."""

    def ping(self) -> None:
        """Ask whether anybody is there."""

    def write(self, frames: bytes) -> None:
        """Send whole frames. Never waits; nothing is sent by one that ends."""

    def end(self, closing: Closing) -> None:
        """Say why and disconnect; who does not answer that is cut off after a while."""

    def cut_off(self) -> None:
        """Disconnect at once."""


class Receiver(Protocol):
    """Who is told what comes over a socket. After `lost` nothing more does."""

    def opened(self) -> None:
        """It can be written to."""

    def text(self, text: str) -> None:
        """A message of text."""

    def binary(self, data: bytes) -> None:
        """A message of bytes."""

    def resumed(self) -> None:
        """The socket is no longer paused."""

    def lost(self) -> None:
        """The connection has ended, however that came."""
