"""One TLS connection: a protocol to the plain transport below it, a transport to the one above.

Everything is passed through at once and nothing is kept: what is written is encrypted and handed
down, so that back-pressure is that of the socket; what arrives is decrypted and handed up. Data
goes through OpenSSL in slices, because its buffers keep the size of the largest one for ever.

The ends of TLS are kept apart as those of TCP are: `close` and `write_eof` say close_notify,
`abort` does not, and a peer that ends without one has been cut off (RFC 8446 6.1).
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Iterable
from typing import Final, cast

from uaitools.proxy.sweep import NEVER

_SLICE: Final = 16 * 1024  # bytes; a record's content has no more
# Bytes that a peer can make us answer without being asked for anything: key updates, alerts.
_CHATTER_LIMIT: Final = 64 * 1024


class TlsTransport(asyncio.Protocol):
    """What both ends have in common; the subclasses make the handshake.

    deadline: of the handshake, for the sweep.
    """

    __slots__ = (
        "_above",
        "_below",
        "_chatter",
        "_closing",
        "_ended",
        "_error",
        "_held",
        "_incoming",
        "_object",
        "_open",
        "_outgoing",
        "_reading",
        "_silent",
        "_told",
        "deadline",
    )

    def __init__(self) -> None:
        self._below: asyncio.Transport | None = None
        self._above: asyncio.Protocol | None = None
        self._object: ssl.SSLObject | None = None
        self._incoming: ssl.MemoryBIO | None = None
        self._outgoing: ssl.MemoryBIO | None = None
        self._held = b""  # decrypted while nobody wanted to read; at most one read's worth
        self._chatter = 0
        self._error: Exception | None = None
        self._open = False  # the handshake is over
        self._reading = True
        self._ended = False  # the peer has said close_notify
        self._told = False  # ... and the protocol above knows
        self._silent = False  # we have said it
        self._closing = False
        self.deadline = NEVER

    def __repr__(self) -> str:
        state = "closing" if self._closing else "open" if self._open else "handshake"
        return f"<{type(self).__name__} {state}>"

    # -- the handshake, for subclasses ------------------------------------------------------

    def _wrap(self, context: ssl.SSLContext, *, server: bool, name: str | None = None) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server, server_hostname=name
        )

    def _established(self) -> asyncio.Protocol:
        """The handshake is over; the protocol that goes on."""
        raise NotImplementedError

    def _failed(self, error: ssl.SSLError) -> None:
        """There will be no handshake; called once. The peer has not been told yet."""
        raise NotImplementedError

    def _shake(self) -> bool:
        """Go on with the handshake; whether it is over."""
        assert self._object is not None
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return False
        self._flush()
        self._open = True
        above = self._above = self._established()
        above.connection_made(cast("asyncio.Transport", self))
        return True

    # -- from below -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The plain connection stands."""
        self._below = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Decrypt, and hand up all that one read has brought at once."""
        if self._object is None or self._closing:
            return
        pieces: list[bytes] = []
        try:
            if len(data) <= _SLICE:
                self._decrypt(data, pieces)
            else:
                view = memoryview(data)
                for start in range(0, len(data), _SLICE):
                    self._decrypt(view[start : start + _SLICE], pieces)
            if self._outgoing is not None and self._outgoing.pending:
                self._answer()
        except ssl.SSLError as error:
            self._break(error)
            return
        if pieces:
            self._deliver(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if self._ended and not self._told:
            self._deliver_end()

    def eof_received(self) -> bool:
        """FIN. After close_notify it says nothing new, before it the connection was cut."""
        if self._ended and self._open:
            return not self._closing
        if not self._closing:
            self._break(ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "ended without close_notify"))
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The plain connection is gone."""
        above, self._above = self._above, None
        self._below = None
        self._object = self._incoming = self._outgoing = None
        self._held = b""
        self._closing = True
        if above is not None:
            above.connection_lost(self._error or exc)

    def pause_writing(self) -> None:
        """The peer does not keep up."""
        if self._above is not None:
            self._above.pause_writing()

    def resume_writing(self) -> None:
        """It keeps up again."""
        if self._above is not None:
            self._above.resume_writing()

    def _decrypt(self, data: bytes | memoryview, pieces: list[bytes]) -> None:
        incoming, tls = self._incoming, self._object
        if incoming is None or tls is None or self._closing:
            return
        incoming.write(data)
        if not self._open and not self._shake():
            return
        try:
            # A read that finds nothing raises, which costs as much as decrypting 4 KB.
            while incoming.pending or tls.pending():
                piece = tls.read(_SLICE)
                if not piece:
                    self._ended = True
                    return
                pieces.append(piece)
        except ssl.SSLWantReadError:
            pass  # the rest of a record is on its way
        except ssl.SSLZeroReturnError:
            self._ended = True

    def _deliver(self, data: bytes) -> None:
        if self._above is None or self._closing:
            return
        if self._reading and not self._held:
            self._above.data_received(data)
        else:
            self._held += data

    def _deliver_end(self) -> None:
        if self._held or not self._reading or self._above is None or self._closing:
            return
        self._told = True
        if not self._above.eof_received():
            self.close()

    def _deliver_held(self) -> None:
        if not self._reading:
            return
        held, self._held = self._held, b""
        if held:
            self._deliver(held)
        if self._ended and not self._told:
            self._deliver_end()

    def _answer(self) -> None:
        """Send what OpenSSL answers by itself; a peer that keeps it talking is cut off."""
        assert self._outgoing is not None
        self._chatter += self._outgoing.pending
        if self._chatter > _CHATTER_LIMIT:
            raise ssl.SSLError(ssl.SSL_ERROR_SSL, "too many messages that carry no data")
        self._flush()

    def _flush(self) -> None:
        if self._below is not None and self._outgoing is not None and self._outgoing.pending:
            self._below.write(self._outgoing.read())

    def _break(self, error: ssl.SSLError) -> None:
        """What the peer sends is no TLS, or it has gone."""
        if self._open:
            # Not an SSLError: whoever is told need not know of what kind the connection was.
            self._error = ConnectionAbortedError(f"TLS: {reason(error)}")
            self.abort()
        elif not self._closing:
            self._closing = True
            self._failed(error)

    # -- from above: what an asyncio transport does -----------------------------------------

    def write(self, data: bytes) -> None:
        """Encrypt and send."""
        below, tls, outgoing = self._below, self._object, self._outgoing
        if below is None or tls is None or outgoing is None or self._silent or self._closing:
            return
        try:
            if len(data) <= _SLICE:
                if data:
                    tls.write(data)
                    below.write(outgoing.read())
                return
            view = memoryview(data)
            pieces = []
            for start in range(0, len(data), _SLICE):
                tls.write(view[start : start + _SLICE])
                pieces.append(outgoing.read())
            below.writelines(pieces)
        except ssl.SSLError as error:
            self._break(error)

    def writelines(self, list_of_data: Iterable[bytes]) -> None:
        """Encrypt and send."""
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        """Whether `write_eof` is possible."""
        return True

    def write_eof(self) -> None:
        """Say that no more comes; reading goes on."""
        if self._below is not None and not self._closing and not self._silent:
            self._say_goodbye()
            self._below.write_eof()

    def _say_goodbye(self) -> None:
        if self._silent or self._object is None:
            return
        self._silent = True
        # All that came has been decrypted; else OpenSSL would take it for a peer that goes on.
        with contextlib.suppress(ssl.SSLError):  # it would also like to read the peer's
            self._object.unwrap()
        self._flush()

    def get_write_buffer_size(self) -> int:
        """Encrypted bytes that the kernel has not taken."""
        return self._below.get_write_buffer_size() if self._below is not None else 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """As of the plain transport."""
        if self._below is not None:
            self._below.set_write_buffer_limits(high, low)

    def pause_reading(self) -> None:
        """Read nothing."""
        self._reading = False
        if self._below is not None and not self._closing:
            self._below.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        self._reading = True
        if self._below is None or self._closing:
            return
        self._below.resume_reading()
        if self._held or (self._ended and not self._told):
            asyncio.get_running_loop().call_soon(self._deliver_held)

    def is_reading(self) -> bool:
        """Whether data is handed up."""
        return self._reading and not self._closing

    def is_closing(self) -> bool:
        """Whether the connection is over or about to be."""
        return self._closing

    def close(self) -> None:
        """Send what was written, say close_notify and end the connection."""
        if self._closing:
            return
        self._say_goodbye()
        self._closing = True
        if self._below is not None:
            self._below.close()

    def abort(self) -> None:
        """End the connection at once, without close_notify: what was sent must not look whole."""
        self._closing = True
        if self._below is not None:
            self._below.abort()

    def get_extra_info(self, name: str, default: object = None) -> object:
        """As asyncio's TLS transports, as far as anybody asks."""
        if name == "ssl_object":
            return self._object
        return self._below.get_extra_info(name, default) if self._below is not None else default

    def get_protocol(self) -> asyncio.Protocol | None:
        """The protocol above."""
        return self._above

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand the connection to another protocol."""
        self._above = cast("asyncio.Protocol", protocol)


def reason(error: ssl.SSLError) -> str:
    """What went wrong, in OpenSSL's words but without its codes and source lines."""
    if isinstance(error, ssl.SSLCertVerificationError) and error.verify_message:
        return f"certificate verify failed: {error.verify_message}"
    code: str | None = getattr(error, "reason", None)  # only OpenSSL's own have one
    if code:
        return code.replace("_", " ").lower()
    return str(error.strerror or error)
