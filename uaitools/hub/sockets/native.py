"""A WebSocket on a bare transport: this object, a reader of frames, and nothing else."""

from __future__ import annotations

import asyncio
from typing import Final, cast

from uaitools.hub.closing import Closing
from uaitools.hub.deflate import inflate
from uaitools.hub.extensions import compresses
from uaitools.hub.frames import (
    CLOSE,
    NO_STATUS,
    PING_FRAME,
    PONG,
    Binary,
    Close,
    Event,
    FrameReader,
    Ping,
    Text,
    Violation,
    encode,
    encode_close,
)
from uaitools.hub.sockets.port import HIGH_WATER, PATIENCE, Kind, Receiver

AT_ONCE: Final = 8 * 1024  # bytes that are read in one turn: 1,400 frames of the shortest kind
_LINGER: Final = 0.25  # seconds in which who broke a rule may answer the close frame


class _Nobody:
    """Who is told when the connection has ended: nothing is."""

    __slots__ = ()

    def opened(self) -> None:
        """See Receiver."""

    def text(self, text: str) -> None:
        """See Receiver."""

    def binary(self, data: bytes) -> None:
        """See Receiver."""

    def resumed(self) -> None:
        """See Receiver."""

    def lost(self) -> None:
        """See Receiver."""


_NOBODY: Final = _Nobody()


class NativeSocket(asyncio.Protocol):
    """See sockets.port. largest: bytes of a message. agreed: on compression, see hub.extensions."""

    __slots__ = (
        "_ending",
        "_failed",
        "_loop",
        "_pongs",
        "_reader",
        "_receiver",
        "_transport",
        "_unread",
        "deflate",
        "heard",
        "paused",
        "sent",
    )

    kind: Final[Kind] = "native"

    def __init__(self, receiver: Receiver, largest: int, agreed: str = "") -> None:
        self._loop = asyncio.get_running_loop()
        self._receiver: Receiver = receiver
        self._reader = FrameReader(largest, inflate if agreed else None)
        self.deflate = compresses(agreed)
        self._transport: asyncio.Transport | None = None
        self._unread = b""  # waits for its turn; nothing more is read meanwhile
        self._pongs = b""  # that are still to be sent
        self._ending = False  # a close frame has been sent
        self._failed = False  # the client has broken a rule
        self.paused = False
        self.heard = self._loop.time()
        self.sent = 0

    def __repr__(self) -> str:
        state = "closed" if self._transport is None else "ending" if self._ending else "open"
        return f"<NativeSocket {state} sent={self.sent}>"

    @property
    def kept(self) -> int:
        """See Socket.kept."""
        waiting = 0 if self._transport is None else self._transport.get_write_buffer_size()
        return self._reader.kept + len(self._unread) + waiting

    # -- what the transport tells -----------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(HIGH_WATER)
        self._receiver.opened()

    def data_received(self, data: bytes) -> None:
        """Called by the transport."""
        self.heard = self._loop.time()
        if self._failed:
            return
        if self._unread:  # uvloop may have several reads for one turn
            self._unread += data
        elif len(data) <= AT_ONCE:
            self._feed(data)
        elif self._transport is not None:
            self._transport.pause_reading()
            self._unread = data
            self._read_on()

    def _read_on(self) -> None:
        """Read what may be read in one turn; the rest follows when others had theirs."""
        if not self._unread or self._transport is None or self._transport.is_closing():
            return
        data, self._unread = self._unread[:AT_ONCE], self._unread[AT_ONCE:]
        if self._unread:
            self._loop.call_soon(self._read_on)
        else:
            self._transport.resume_reading()
        self._feed(data)

    def _feed(self, data: bytes) -> None:
        try:
            self._reader.feed(data, self._on_event)
        except Violation as violation:
            self.end(Closing(violation.code, str(violation), reconnect=False))
            self._fail()
        if self._pongs:
            self._answer_pings()

    def _fail(self) -> None:
        """Say nothing more, and hear nothing: RFC 6455 7.1.7.

        To close at once, and for both ways, would reset what he still sends, and with it what he
        has not read yet: the reason. aiohttp's client loses it also when the end overtakes its
        answer to the close frame.
        """
        self._failed = True
        if self._unread and self._transport is not None:
            self._unread = b""
            self._transport.resume_reading()  # what comes is not looked at
        self._loop.call_later(_LINGER, self._end_writing)

    def _end_writing(self) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if transport.can_write_eof():
            transport.write_eof()
        else:
            self._close()

    def pause_writing(self) -> None:
        """Called by the transport: HIGH_WATER bytes wait to be sent."""
        self.paused = True

    def resume_writing(self) -> None:
        """Called by the transport: most of them have been sent."""
        self.paused = False
        self._receiver.resumed()

    def connection_lost(self, _: Exception | None) -> None:
        """Called by the transport."""
        self._transport = None
        self._ending = True
        receiver, self._receiver = self._receiver, _NOBODY  # or both would wait for the collector
        receiver.lost()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Ping) and not self.paused:
            # For one who does not read they would pile up: the latest alone need be answered,
            # RFC 6455 5.5.3.
            self._pongs += encode(PONG, event.payload)
            return
        if self._pongs:
            self._answer_pings()
        if isinstance(event, Close):
            self._answer_close(event)
        elif self._ending:
            return
        elif isinstance(event, Text):
            self._receiver.text(event.text)
        elif isinstance(event, Binary):
            self._receiver.binary(event.data)

    def _answer_pings(self) -> None:
        # In one piece: there may be a thousand, and each write takes longer than a pong.
        pongs, self._pongs = self._pongs, b""
        self.write(pongs)

    def _answer_close(self, event: Close) -> None:
        if not self._ending:
            self.write(encode(CLOSE, b"") if event.code == NO_STATUS else encode_close(event.code))
            self._ending = True
        self._close()

    # -- what the hub asks ------------------------------------------------------------------

    def write(self, frames: bytes) -> None:
        """See Socket.write."""
        if self._transport is not None and not self._ending:
            self.sent += len(frames)
            self._transport.write(frames)

    def ping(self) -> None:
        """See Socket.ping."""
        self.write(PING_FRAME)

    def end(self, closing: Closing) -> None:
        """See Socket.end."""
        if self._ending:
            return
        self.write(encode_close(closing.code, closing.reason))
        self._ending = True
        self._loop.call_later(PATIENCE, self.cut_off)

    def cut_off(self) -> None:
        """See Socket.cut_off."""
        if self._transport is not None:
            self._transport.abort()

    def _close(self) -> None:
        """The last that has been written is sent, if the peer takes it in time."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.close()
            self._loop.call_later(PATIENCE, self.cut_off)
