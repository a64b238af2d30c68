"""What both sides of the proxy are: a transport, a deadline, and writes through the outbox."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from uaitools.proxy.outbox import Outbox
from uaitools.proxy.sweep import NEVER
from uaitools.sockets import reset


class Connection(asyncio.Protocol):
    """The protocol of one transport; its subclasses say what the bytes mean.

    transmit: writes to the transport at once; the outbox's. deadline: for the sweep. full: the peer
    does not read, its transport has asked us to pause.
    """

    __slots__ = ("_eof", "_outbox", "_reading", "_transport", "deadline", "full", "transmit")

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._transport: asyncio.Transport | None = None
        self._reading = True
        self._eof = False  # the peer sends no more
        self.full = False
        self.transmit: Callable[[bytes], None] = discard
        self.deadline = NEVER

    def write(self, data: bytes) -> None:
        """Send `data` by the end of this turn of the loop."""
        self._outbox.send(self, data)

    def write_eof(self) -> None:
        """Send FIN after everything written before."""
        self._outbox.flush()
        if self._transport is not None:
            self._transport.write_eof()

    def unwritten(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def pause_reading(self) -> None:
        """Read nothing from the peer."""
        if self._reading and self._transport is not None and not self._eof:
            self._reading = False
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again; never after EOF, which would be delivered anew each time."""
        if not self._reading and self._transport is not None and not self._eof:
            self._reading = True
            self._transport.resume_reading()

    def _connected(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio.Transport, though they do what it says.
        self._transport = cast("asyncio.Transport", transport)
        self.transmit = self._transport.write

    def _disconnected(self) -> None:
        # First of all: a write would raise from here on (docs/measurements.md).
        self._transport = None
        self.transmit = discard

    def _close_transport(self) -> None:
        """Close after everything written before."""
        self._outbox.flush()
        if self._transport is not None:
            self._transport.close()

    def _reset(self) -> None:
        """End the connection at once; what was not transmitted never is."""
        self.transmit = discard
        if self._transport is not None:
            reset(self._transport)


def discard(data: bytes | bytearray | memoryview) -> None:
    """What a connection writes to once it is gone; its connection_lost has told who must know."""
