"""What a pool of connections is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """How many connections there are, and for how long; times in seconds.

    size: the most that are open at once. idle: the most that are kept while nobody uses them.
    lifetime: after which one is replaced, up to a tenth sooner so that they do not all end at
    once: servers and what stands before them forget, and grow with what a session has seen.
    idle_time: after which one that nobody uses is closed. health: one that was idle for longer is
    asked before it is used: a firewall may have dropped it without a word. wait: how long a caller
    waits for a connection; waiting: how many may. limit: for how long one is lent. still: for how
    long a transaction may have no statement under way before the server ends it, because a process
    that was stopped keeps others waiting with its locks; None for as long as a connection is lent.
    grace: how long a stop waits for who has one.
    """

    size: int = 25
    idle: int = 25
    lifetime: float = 300.0
    idle_time: float = 120.0
    health: float = 60.0
    wait: float = 5.0
    waiting: int = 1000
    limit: float = 60.0
    still: float | None = None
    grace: float = 5.0

    def __post_init__(self) -> None:
        if self.size < 1 or self.idle < 0 or self.waiting < 0:
            raise ValueError("a pool has at least one connection, and no negative numbers")


DEFAULTS: Final = PoolSettings()
