"""The name that a client asks for, from the first bytes of its connection (RFC 8446 4.1.2).

Read here so that a connection costs nothing before its ClientHello is whole, and begins with the
right certificate. Nothing is judged: what cannot be read is left to OpenSSL, which refuses it.
"""

from __future__ import annotations

import re
from typing import Final

HELLO_LIMIT: Final = 16 * 1024 + 5  # bytes kept while it is not whole; browsers send up to 2 KiB
_HANDSHAKE: Final = 22  # content type of a record, RFC 8446 5.1
_CLIENT_HELLO: Final = 1
_SERVER_NAME: Final = 0  # extension type, RFC 6066 3
_HOST_NAME: Final = 0
_FIXED: Final = 34  # bytes of version and random before the session id
_REQUEST: Final = re.compile(rb"[A-Z]{3,16} [!-~]")


def speaks_http(data: bytes) -> bool:
    """Whether a connection begins with a request instead of a handshake."""
    return _REQUEST.match(data) is not None


def server_name(data: bytes) -> str | None:
    """The host name in a ClientHello, lower-case; '' when there is none that could be read.

    None when more bytes are needed to know.
    """
    hello = _message(data)
    if hello is None:
        return None if len(data) < HELLO_LIMIT else ""
    try:
        return _name(hello)
    except (IndexError, ValueError):
        return ""


def _message(data: bytes) -> bytes | None:
    """The body of the ClientHello, gathered from its records; None while it is not whole."""
    message = b""
    at = 0
    while at < len(data):
        if data[at] != _HANDSHAKE:
            return b""
        if len(data) < at + 5:
            return None
        size = int.from_bytes(data[at + 3 : at + 5], "big")
        message += data[at + 5 : at + 5 + size]
        at += 5 + size
        if message and message[0] != _CLIENT_HELLO:
            return b""
        if len(message) >= 4:
            end = 4 + int.from_bytes(message[1:4], "big")
            if len(message) >= end:
                return message[4:end]
    return None


def _name(hello: bytes) -> str:
    at = _FIXED
    at += 1 + hello[at]  # session id
    at += 2 + _number(hello, at)  # cipher suites
    at += 1 + hello[at]  # compression methods
    end = at + 2 + _number(hello, at)
    at += 2
    while at + 4 <= end:
        kind, size = _number(hello, at), _number(hello, at + 2)
        at += 4
        if kind == _SERVER_NAME:
            return _host(hello[at : at + size])
        at += size
    return ""


def _host(names: bytes) -> str:
    """RFC 6066 3: a list of names, of which only one type exists."""
    if names[2] != _HOST_NAME:
        return ""
    size = _number(names, 3)
    return names[5 : 5 + size].decode("ascii").lower()


def _number(data: bytes, at: int) -> int:
    if at + 2 > len(data):
        raise IndexError(at)
    return int.from_bytes(data[at : at + 2], "big")
