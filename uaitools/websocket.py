"""What both ends of a WebSocket's handshake know: RFC 6455 4.2.2."""

from __future__ import annotations

import base64
import hashlib
from typing import Final

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accepted(key: bytes) -> str:
    """The Sec-WebSocket-Accept that answers a Sec-WebSocket-Key."""
    digest = hashlib.sha1(key + _GUID, usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()
