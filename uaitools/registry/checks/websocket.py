"""The check by a WebSocket handshake (RFC 6455 4)."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
from typing import Final

import aiohttp

from uaitools.registry.checks.answer import GOOD, Answer
from uaitools.registry.checks.http import HEADERS, READ_LIMIT, end, get, judge
from uaitools.registry.model import Check, Instance
from uaitools.websocket import accepted

CLOSING: Final = 1.0  # seconds for the peer to end the connection
_NORMAL: Final = (1000).to_bytes(2, "big")  # RFC 6455 7.4.1


async def ask_websocket(
    check: Check, instance: Instance, session: aiohttp.ClientSession, limit: asyncio.Timeout
) -> Answer:
    """Shake hands at the check's path, over TLS where the scheme is https or wss, then close.

    limit: the block of `asyncio.timeout` around this call. The handshake decides: a peer that does
    not end the connection after our Close frame is left after CLOSING seconds, or when the limit
    is reached, and good nevertheless. aiohttp's own client for WebSockets would follow redirects,
    to wherever the instance likes.

    Raises aiohttp.ClientError, OSError, and ValueError for an address or a path that is none.
    """
    key = base64.b64encode(os.urandom(16))
    headers = HEADERS | {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": key.decode(),
    }
    response = await get(check, instance, session, headers)
    try:
        if response.status == 429:
            return judge(response.status)
        if response.status != 101:
            return Answer(f"no WebSocket handshake: status {response.status}")
        if not _accepted(response, key):
            return Answer("an invalid WebSocket handshake")
        await _say_goodbye(response, limit)
        return GOOD
    finally:
        end(response)


def _accepted(response: aiohttp.ClientResponse, key: bytes) -> bool:
    """Whether a 101 is the answer to our handshake (RFC 6455 4.1)."""
    headers = response.headers
    tokens = {token.strip().lower() for token in headers.get("Connection", "").split(",")}
    return (
        headers.get("Upgrade", "").lower() == "websocket"
        and "upgrade" in tokens
        and headers.get("Sec-WebSocket-Accept") == accepted(key)
        # Neither an extension nor a subprotocol was offered.
        and "Sec-WebSocket-Extensions" not in headers
        and "Sec-WebSocket-Protocol" not in headers
    )


async def _say_goodbye(response: aiohttp.ClientResponse, limit: asyncio.Timeout) -> None:
    """Send a Close frame and wait for the server to end the connection (RFC 6455 7.1.1)."""
    connection = response.connection
    if connection is None or connection.protocol is None:
        return  # it has gone already
    ending = _Ending()
    connection.protocol.set_parser(ending, None)
    transport = connection.transport
    if transport is None or transport.is_closing():
        return
    transport.write(close_frame(os.urandom(4)))
    until = asyncio.get_running_loop().time() + CLOSING
    deadline = limit.when()
    limit.reschedule(None)  # from here on a limit that is reached is no failure
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout_at(until if deadline is None else min(until, deadline)):
            await ending.over.wait()


def close_frame(mask: bytes) -> bytes:
    """A client's Close frame with status 1000 (RFC 6455 5.2): masked, two bytes long."""
    status = bytes(byte ^ key for byte, key in zip(_NORMAL, mask, strict=False))
    return b"\x88\x82" + mask + status


class _Ending:
    """Passes over what still comes, up to READ_LIMIT bytes. over: nothing more is waited for."""

    __slots__ = ("_left", "over")

    def __init__(self) -> None:
        self._left = READ_LIMIT
        self.over = asyncio.Event()

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Called by aiohttp's protocol for what comes after the 101."""
        self._left -= len(data)
        if self._left < 0:
            self.over.set()
        return False, b""

    def feed_eof(self) -> None:
        """Called by aiohttp's protocol when the connection has ended."""
        self.over.set()
