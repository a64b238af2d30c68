"""The upgrade to a WebSocket, a server's side: RFC 6455 4.2. Pure."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Final

from uaitools.errors import ServiceError
from uaitools.hub.errors import SERVICE
from uaitools.websocket import accepted

VERSION: Final = "13"


class NoUpgrade(ServiceError):
    """What came is no upgrade to this version of WebSocket (426)."""

    def __init__(self, message: str) -> None:
        super().__init__(426, message, SERVICE)


def accept(headers: Mapping[str, str]) -> str:
    """What the answer says in Sec-WebSocket-Accept. headers: their names compare without case.

    Raises NoUpgrade, and ServiceError (400) for a bad one.
    """
    upgrades = {token.strip().lower() for token in headers.get("Upgrade", "").split(",")}
    options = {token.strip().lower() for token in headers.get("Connection", "").split(",")}
    if "websocket" not in upgrades or "upgrade" not in options:
        raise NoUpgrade("this is a WebSocket: ask for an upgrade")
    if headers.get("Sec-WebSocket-Version") != VERSION:
        raise NoUpgrade(f"WebSocket has version {VERSION} here")
    if headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in headers:
        raise ServiceError(400, "an upgrade has no body", SERVICE)
    key = headers.get("Sec-WebSocket-Key", "")
    try:
        fits = len(base64.b64decode(key, validate=True)) == 16
    except ValueError:
        fits = False
    if not fits:
        raise ServiceError(400, "Sec-WebSocket-Key is 16 bytes in base64", SERVICE)
    return accepted(key.encode())
