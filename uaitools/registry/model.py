"""What is registered: one instance of a service, as it has said of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

TTL: Final = 30.0  # seconds between heartbeats at most, unless an instance says otherwise

# An id stands in paths, a name in paths and metrics: no space, no control character, no slash.
NAME: Final = r"^[A-Za-z0-9._~:@+=-]{1,128}$"

Scheme = Literal["http", "https", "ws", "wss", "tcp"]


@dataclass(frozen=True, slots=True)
class Check:
    """A question that the registry asks an instance now and then.

    kind: what counts as an answer. path: asked for by http and websocket. interval, timeout:
    seconds. jitter: the part of the interval by which it varies. rise, fall: results in a row that
    change the verdict.
    """

    kind: Literal["http", "tcp", "websocket"] = "http"
    path: str = "/health"
    interval: float = 10.0
    timeout: float = 3.0
    jitter: float = 0.2
    rise: int = 2
    fall: int = 3


@dataclass(frozen=True, slots=True)
class Instance:
    """A registration; never changed, but replaced by one with a higher generation.

    generation: tells registrations of one id apart, so that a late message of an earlier one
    touches nothing. ttl: seconds after which silence counts against it; 0: no heartbeats are
    expected, and its checks alone judge.
    """

    id: str
    name: str
    address: str
    port: int
    generation: int
    scheme: Scheme = "http"
    version: str = ""
    zone: str = ""
    weight: int = 1
    ttl: float = TTL
    tags: frozenset[str] = frozenset()
    meta: Mapping[str, str] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True, slots=True)
class Load:
    """What an instance says of its own work with a heartbeat."""

    connections: int = 0
    in_flight: int = 0
    bytes: int = 0
