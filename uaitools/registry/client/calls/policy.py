"""How a service is called: patience, connections, balancing, breaking, retries."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from uaitools.traffic.balancing.ewma import DECAY
from uaitools.traffic.breaker import BreakerPolicy
from uaitools.traffic.retry import RetryPolicy

BALANCES: Final = ("ewma", "least_requests", "random", "round_robin")  # calls have no key to hash


@dataclass(frozen=True, slots=True)
class CallPolicy:
    """What holds for all calls of one client.

    timeout: seconds for a whole call, with its tries, the pauses between them and the answer's
    last byte. connect: seconds to open a connection. first_byte: seconds that a try waits for its
    answer while another instance could still be asked; None for half of what the call has left.
    connections: open at once to all instances, connections_per_host: to one of them; who finds
    none free waits. idle: seconds that an unused one is kept. requests: calls under way at once
    at one instance. balance: one of BALANCES. decay: seconds, of ewma. report: seconds
    between two reports to the registry of what calls have seen.
    """

    timeout: float = 30.0
    connect: float = 3.0
    first_byte: float | None = None
    connections: int = 100
    connections_per_host: int = 10
    idle: float = 90.0
    requests: int = 1024
    # In turn would have clients that start together walk in step over the instances.
    balance: str = "least_requests"
    decay: float = DECAY
    report: float = 5.0
    breaker: BreakerPolicy = field(default_factory=BreakerPolicy)
    retry: RetryPolicy = field(default_factory=RetryPolicy)

    def __post_init__(self) -> None:
        if self.balance not in BALANCES:
            raise ValueError(f"balance is one of {', '.join(BALANCES)}")
        if min(self.timeout, self.connect, self.idle, self.report) <= 0:
            raise ValueError("timeout, connect, idle and report are seconds, over 0")
        if min(self.connections, self.connections_per_host, self.requests) < 1:
            raise ValueError("connections, connections_per_host and requests are 1 at least")

    @property
    def fair(self) -> float:
        """Seconds after which silence is the instance's fault, however impatient the caller."""
        return self.timeout / 2 if self.first_byte is None else self.first_byte
