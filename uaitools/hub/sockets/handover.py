"""The hand-over: a connection that aiohttp has upgraded becomes a socket of our own.

aiohttp keeps 15 KB for a connection, ours 1.4. It has no public way to give one up, so parts of
its request handler are used that are not: `unsupported` says at the start which of them are gone.
"""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import hdrs, web, web_protocol
from aiohttp.abc import AbstractStreamWriter

# Bytes that came with the upgrade; and whether it has stopped to read.
_NEEDED: Final = ("_message_tail", "_buffer_paused", "connection_lost")


def unsupported() -> str:
    """What this aiohttp lacks for a hand-over; nothing when it can be done."""
    handler = web_protocol.RequestHandler
    missing = [name for name in _NEEDED if not hasattr(handler, name)]
    return f"aiohttp's RequestHandler has no {', '.join(missing)}" if missing else ""


class HandedOver(web.StreamResponse):
    """The answer of a handler whose connection is aiohttp's no longer: nothing is sent."""

    def __init__(self) -> None:
        super().__init__(status=101)
        self.force_close()

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:  # noqa: ARG002
        """Send nothing."""
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Send nothing."""


def hand_over(
    request: web.Request, accepted: str, protocol: asyncio.Protocol, headers: bytes = b""
) -> HandedOver:
    """Answer an upgrade, and give its connection to `protocol`; return what the handler returns.

    accepted: see handshake.accept. headers: more lines of the answer, each with its end. Bytes that
    came with the upgrade are the first that the protocol gets.

    Raises ConnectionResetError when the client has gone.
    """
    handler, transport = request.protocol, request.transport
    if transport is None or transport.is_closing():
        raise ConnectionResetError("the client has gone")
    tail, handler._message_tail = handler._message_tail, b""  # noqa: SLF001 - see `unsupported`
    transport.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"%b: %b\r\n%b\r\n" % (hdrs.SEC_WEBSOCKET_ACCEPT.encode(), accepted.encode(), headers)
    )
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
    handler.transport = None
    handler.connection_lost(None)  # it forgets the connection, and its server as well
    transport.resume_reading()
    if tail:
        protocol.data_received(tail)
    return HandedOver()
