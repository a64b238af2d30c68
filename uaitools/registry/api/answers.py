"""What goes, as pydantic models: for OpenAPI; most of it is written by `documents`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from uaitools.registry.api.requests import LoadModel
from uaitools.registry.evidence import State, Word
from uaitools.registry.service import Cause


class Said(BaseModel):
    """What goes."""

    model_config = ConfigDict(frozen=True)


class Registered(Said):
    """An instance is there. ttl: send a heartbeat at least so often, in seconds."""

    id: str
    generation: int
    index: int
    epoch: str
    ttl: float


class Heard(Said):
    """How the registry sees it. current: false while it cannot tell others; ask one that can.

    draining: somebody wants it to stop, and waits for what it says of its load.
    """

    health: State
    index: int
    epoch: str
    current: bool
    draining: bool


class DrainProgress(Said):
    """Whether an instance may stop. behind: watchers that may still send something new to it.

    in_flight: null while it has not said what it has to do since the drain began.
    """

    id: str
    index: int
    safe: bool
    behind: tuple[str, ...]
    in_flight: int | None
    overdue: bool
    deadline: str | None


class CheckView(Said):
    """A check, and what it says."""

    kind: str
    path: str
    interval: float
    timeout: float
    jitter: float
    rise: int
    fall: int
    says: Word
    reason: str


class InstanceView(Said):
    """An instance. index: of its service, at which it became what it is."""

    id: str
    name: str
    address: str
    port: int
    scheme: str
    version: str
    tags: list[str]
    meta: dict[str, str]
    zone: str
    weight: int
    ttl: float
    generation: int
    health: State
    cause: str
    since: str
    last_seen: str
    index: int
    checks: list[CheckView]
    load: LoadModel


class ServiceList(Said):
    """The instances of a service, those to prefer first. cause: why there is none."""

    name: str
    index: int
    epoch: str
    authoritative: bool
    cause: Cause | None
    instances: list[InstanceView]


class ServiceSummary(Said):
    """How many of its instances are in which state."""

    name: str
    index: int
    instances: int
    health: dict[State, int]


class Services(Said):
    """All services by name."""

    epoch: str
    authoritative: bool
    cause: Cause | None
    services: list[ServiceSummary]


class NodeView(Said):
    """An address, and what runs there."""

    address: str
    zone: str
    instances: list[str]
    health: dict[State, int]


class Nodes(Said):
    """All addresses."""

    authoritative: bool
    cause: Cause | None
    nodes: list[NodeView]


class Witness(Said):
    """What somebody says of an instance, and in which words."""

    says: Word
    reason: str


class MomentView(Said):
    """A change of state."""

    at: str
    health: State
    cause: str


class Next(Said):
    """What happens by itself if nothing is heard, and when."""

    at: str
    what: str


class Explanation(Said):
    """Why an instance is in its state."""

    id: str
    generation: int
    health: State
    cause: str
    since: str
    last_seen: str
    witnesses: list[Witness]
    timeline: list[MomentView]
    next: list[Next]


class Departure(Said):
    """How an instance came to be taken out: the last few are remembered."""

    id: str
    generation: int
    at: str
    cause: Cause
    timeline: list[MomentView]


class Explanations(Said):
    """All instances of a service, or one by its id."""

    name: str
    epoch: str
    instances: list[Explanation]
    gone: list[Departure]
