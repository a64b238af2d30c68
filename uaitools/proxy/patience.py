"""How long a request may wait for its upstream: what its route says, over what its service says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from uaitools.proxy.service import ServicePolicy

NEVER: Final = float("inf")


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds, in force for the requests of one route.

    connect: to open a connection. first_byte: from the last byte sent to the first received, and
    for a free connection. between_bytes: between two reads of a response. total: from the
    request's head to the last byte of its answer, NEVER for any time.
    """

    connect: float
    first_byte: float
    between_bytes: float
    total: float = NEVER


@dataclass(frozen=True, slots=True)
class Overrides:
    """What a route says of it; None for what its service says. total: None for any time."""

    connect: float | None = None
    first_byte: float | None = None
    between_bytes: float | None = None
    total: float | None = None

    def over(self, policy: ServicePolicy) -> Patience:
        """The patience of this route's requests to a service with `policy`."""
        return Patience(
            policy.connect if self.connect is None else self.connect,
            policy.first_byte if self.first_byte is None else self.first_byte,
            policy.between_bytes if self.between_bytes is None else self.between_bytes,
            NEVER if self.total is None else self.total,
        )
