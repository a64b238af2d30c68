"""Why the hub ends a connection: the close codes, and whether to come again. Data.

Codes below 4000 are RFC 6455's, the others the hub's own; docs/hub-protocol.md has the same table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from uaitools.hub.frames import INVALID_DATA, PROTOCOL_ERROR, TOO_BIG


@dataclass(frozen=True, slots=True)
class Closing:
    """code, reason: of the close frame. reconnect: whether the same client may be served later."""

    code: int
    reason: str
    reconnect: bool


NORMAL: Final = Closing(1000, "", reconnect=False)
GOING_AWAY: Final = Closing(1001, "this node stops; come again", reconnect=True)
PROTOCOL: Final = Closing(PROTOCOL_ERROR, "the protocol was broken", reconnect=False)
INVALID: Final = Closing(INVALID_DATA, "text is not UTF-8", reconnect=False)
LARGE: Final = Closing(TOO_BIG, "a message is too long", reconnect=False)
UNAUTHORIZED: Final = Closing(4001, "the credential is missing or no longer good", reconnect=False)
LATE: Final = Closing(4002, "no credential came in time", reconnect=True)
DISCONNECTED: Final = Closing(4003, "an operator has ended the connection", reconnect=False)
MISTAKES: Final = Closing(4004, "too many commands were wrong", reconnect=False)
RATE: Final = Closing(4005, "too many commands; send fewer", reconnect=True)
SILENT: Final = Closing(4006, "no answer to a ping", reconnect=True)
SLOW: Final = Closing(4007, "messages were not read in time", reconnect=True)
MEMORY: Final = Closing(4008, "this node is short of memory; come again", reconnect=True)

CLOSINGS: Final = (
    NORMAL,
    GOING_AWAY,
    PROTOCOL,
    INVALID,
    LARGE,
    UNAUTHORIZED,
    LATE,
    DISCONNECTED,
    MISTAKES,
    RATE,
    SILENT,
    SLOW,
    MEMORY,
)
