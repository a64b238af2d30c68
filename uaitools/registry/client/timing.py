"""How patient a client of the registry is, and how often it says what. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds, each.

    connect: for a connection, its handshake included. call: for one REST call at one registry.
    heartbeat: without a word until a watcher pings; it waits half of that for the answer.
    repeat: between two acknowledgements of the same revision; a watcher that is silent for 45 is
    no longer waited for. cap: between two attempts, at most. refused: between two attempts when
    the credential is refused, which time alone seldom mends. steady: after which a connection
    counts as good. save: between a change and its way to disk. full: between two full
    registrations, by which a registry that has lost its memory gets it back. look: between two
    looks at a drain, with each of which the load is told. leave: for which an instance that
    leaves tries to reach a registry that is away.
    """

    connect: float = 5.0
    call: float = 5.0
    heartbeat: float = 10.0
    repeat: float = 15.0
    cap: float = 10.0
    refused: float = 30.0
    steady: float = 10.0
    save: float = 1.0
    full: float = 60.0
    look: float = 0.25
    leave: float = 3.0


USUAL: Final = Timing()
