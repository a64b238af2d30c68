"""The upgrade to a WebSocket, a server's side: RFC 6455 4.2. Pure."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Final

from uaitools.errors import ServiceError
from uaitools.hub.errors import SERVICE
from uaitools.websocket import accepted

VERSION: Final = "13"


def accept(headers: Mapping[str, str]) -> str:
    """What the answer says in Sec-WebSocket-Accept. headers: their names compare without case.

    Raises ServiceError, 426 for what is no upgrade or another version of it, 400 for a bad one.
    """
    upgrades = {token.strip().lower() for token in headers.get("Upgrade", "").split(",")}
    options = {token.strip().lower() for token in headers.get("Connection", "").split(",")}
    if "websocket" not in upgrades or "upgrade" not in options:
        raise ServiceError(426, "this is a WebSocket: ask for an upgrade", SERVICE)
    if headers.get("Sec-WebSocket-Version") != VERSION:
        raise ServiceError(426, f"WebSocket has version {VERSION} here", SERVICE)
    key = headers.get("Sec-WebSocket-Key", "")
    try:
        fits = len(base64.b64decode(key, validate=True)) == 16
    except ValueError:
        fits = False
    if not fits:
        raise ServiceError(400, "Sec-WebSocket-Key is 16 bytes in base64", SERVICE)
    return accepted(key.encode())
