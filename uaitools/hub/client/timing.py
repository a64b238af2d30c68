"""How patient a client of the hub is. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PING: Final = 25.0  # seconds between the hub's pings, unless its welcome says otherwise


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds, each.

    connect: for a connection, its handshake included. answer: for a command, from when it is given
    to its reply; waiting for a connection and trying again are part of it. grace: after a ping
    that did not come until the connection counts as dead. steady: after which a connection counts
    as good, so that the next attempt is the first one again.
    """

    connect: float = 10.0
    answer: float = 10.0
    grace: float = 10.0
    steady: float = 10.0


USUAL: Final = Timing()
