"""What the API takes and says, as pydantic models: for validation, and for OpenAPI."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal
from uuid import uuid4

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
)

from uaitools.registry import model
from uaitools.registry.checks.target import PATH, PATH_LIMIT, valid_address, valid_path
from uaitools.registry.evidence import State, Word
from uaitools.registry.sightings import Observation

_SECONDS: Final = re.compile(r"([0-9]{1,7}(?:\.[0-9]{1,25})?(?:e-[0-9]{1,3})?)(ms|s|m)?")
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0}
_ADDRESSES: Final = ("ipv4", "ipv6", "hostname")

# An id stands in paths, a name in paths and metrics: no space, no control character, no slash.
NAME: Final = r"^[A-Za-z0-9._~:@+=-]{1,128}$"
Name = Annotated[str, Field(pattern=NAME)]
Text = Annotated[str, Field(max_length=256, pattern=r"^[^\x00-\x1f\x7f]*$")]
Label = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f,]{1,64}$")]
Tags = Annotated[tuple[Label, ...], Field(max_length=64)]
Meta = Annotated[
    dict[Label, Text], Field(max_length=64, json_schema_extra={"additionalProperties": False})
]


def _whole(value: object) -> object:
    """JSON has one kind of number: 5.0 is 5."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


_WHOLE: Final = BeforeValidator(_whole)  # after the bounds, or JSON schema knows none of them
Big = Annotated[int, Field(ge=0, lt=1 << 53), _WHOLE]
Weight = Annotated[int, Field(ge=0, le=1000), _WHOLE]
Port = Annotated[int, Field(ge=1, le=65535), _WHOLE]
Repeated = Annotated[int, Field(ge=1, le=100), _WHOLE]
Address = Annotated[
    str,
    Field(min_length=1, max_length=255),
    AfterValidator(valid_address),
    WithJsonSchema({"anyOf": [{"type": "string", "format": f} for f in _ADDRESSES]}),
]
Path = Annotated[
    str,
    AfterValidator(valid_path),
    WithJsonSchema({"type": "string", "maxLength": PATH_LIMIT, "pattern": f"^{PATH}$"}),
]


def _seconds(value: object) -> object:
    """`30`, `"30s"`, `"500ms"` or `"2m"` as seconds."""
    if not isinstance(value, str):
        return value
    match = _SECONDS.fullmatch(value)
    if match is None:
        raise ValueError('is a time such as "30s", "500ms" or "2m"')
    return float(match[1]) * _UNITS[match[2] or "s"]


def _time(most: float) -> WithJsonSchema:
    number = {"type": "number", "minimum": 0, "maximum": most}
    text = {"type": "string", "pattern": f"^{_SECONDS.pattern}$"}
    return WithJsonSchema({"anyOf": [number, text]})


Time = Annotated[float, BeforeValidator(_seconds), Field(ge=0, le=1e6), _time(1e6)]


def _ttl(seconds: float) -> float:
    if 0 < seconds < 1:
        raise ValueError("is 0, for no heartbeats, or at least 1 second")
    return seconds


_LONGEST: Final = 86_400
_TTLS: Final = [{"const": 0}, {"type": "number", "minimum": 1, "maximum": _LONGEST}]
Ttl = Annotated[
    float, Field(ge=0, le=_LONGEST), AfterValidator(_ttl), WithJsonSchema({"anyOf": _TTLS})
]
_STATES: Final = "|".join(State)
States = Annotated[str, Field(pattern=f"^({_STATES})(,({_STATES}))*$", max_length=128)]


class Asked(BaseModel):
    """What comes: immutable, and strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Said(BaseModel):
    """What goes."""

    model_config = ConfigDict(frozen=True)


# -- what instances say ---------------------------------------------------------------------


class CheckModel(Asked):
    """A question that the registry asks an instance now and then; see registry.model.Check."""

    kind: Literal["http", "tcp", "websocket"] = "http"
    path: Path = "/health"
    interval: Annotated[float, Field(ge=0.5, le=86_400)] = 10.0
    timeout: Annotated[float, Field(gt=0, le=60)] = 3.0
    jitter: Annotated[float, Field(ge=0, le=1)] = 0.2
    rise: Repeated = 2
    fall: Repeated = 3


class Registration(Asked):
    """An instance that wants to be found. id: a UUID unless given, and then it replaces."""

    id: Name = Field(default_factory=lambda: str(uuid4()))
    name: Name
    address: Address
    port: Port
    scheme: model.Scheme = "http"
    version: Text = ""
    zone: Text = ""
    weight: Weight = 1
    ttl: Ttl = model.TTL
    tags: Tags = ()
    meta: Meta = Field(default_factory=dict)
    checks: Annotated[tuple[CheckModel, ...], Field(max_length=8)] = ()

    def instance(self) -> model.Instance:
        """What the table keeps; the generation is set there."""
        fields = self.model_dump(exclude={"tags", "checks"})
        return model.Instance(
            **fields,
            generation=0,
            tags=frozenset(self.tags),
            checks=tuple(model.Check(**check.model_dump()) for check in self.checks),
        )


class Registered(Said):
    """An instance is there. ttl: send a heartbeat at least so often, in seconds."""

    id: str
    generation: int
    index: int
    epoch: str
    ttl: float


class LoadModel(Asked):
    """What an instance has to do."""

    connections: Big = 0
    in_flight: Big = 0
    bytes: Big = 0


class Heartbeat(Asked):
    """An instance lives."""

    generation: Big
    load: LoadModel | None = None


class Heard(Said):
    """How the registry sees it."""

    health: State
    index: int
    epoch: str


class Patch(Asked):
    """What changes; the rest stays."""

    weight: Weight | None = None
    tags: Tags | None = None
    meta: Meta | None = None


class Maintenance(Asked):
    """Why an instance is taken out."""

    reason: Annotated[Text, Field(min_length=1)] = "maintenance"


class DrainModel(Asked):
    """deadline: seconds after which the drain counts as overdue."""

    deadline: Time = 30.0


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


class Generation(Asked):
    """generation: only if it is still this one."""

    generation: Big | None = None


class Waiting(Asked):
    """wait: answer at once when there is something to say, else after so long."""

    wait: Time = 0.0


# -- what watchers say ----------------------------------------------------------------------


class Applied(Asked):
    """A watcher has applied a revision."""

    watcher: Name
    index: Big
    epoch: Text


class ObservationModel(Asked):
    """What a proxy saw of an instance since it last said so; see registry.sightings."""

    id: Name
    generation: Big
    requests: Big = 0
    failures: Big = 0
    connect_errors: Big = 0
    latency_ms: Annotated[float, Field(ge=0, le=1e9)] = 0.0

    def observation(self) -> Observation:
        """As the registry takes it."""
        return Observation(**self.model_dump())


class Observations(Asked):
    """What one proxy saw."""

    watcher: Name
    observations: Annotated[tuple[ObservationModel, ...], Field(max_length=1000)]


class Hello(Asked):
    """The first message of a watcher that has a name."""

    type: Literal["hello"]
    watcher: Name


class Watch(Asked):
    """Tell of a service from now on; of changes only, where index and epoch are still known."""

    type: Literal["watch"]
    service: Name
    index: Big | None = None
    epoch: Text | None = None


class Unwatch(Asked):
    """Tell no more of a service."""

    type: Literal["unwatch"]
    service: Name


class AppliedMessage(Asked):
    """A revision has been applied; said again every 15 s to show that the watcher lives."""

    type: Literal["applied"]
    service: Name
    index: Big


class Observed(Asked):
    """What the watcher saw."""

    type: Literal["observed"]
    observations: Annotated[tuple[ObservationModel, ...], Field(max_length=1000)]


Message = Annotated[
    Hello | Watch | Unwatch | AppliedMessage | Observed, Field(discriminator="type")
]


# -- what is asked, and said ----------------------------------------------------------------


class ListQuery(Asked):
    """Which instances; index and wait make it a long poll, watcher says that index is applied."""

    health: States | None = None
    tag: Annotated[tuple[Label, ...], Field(max_length=16)] = ()
    zone: Text | None = None
    version: Text | None = None
    index: Big | None = None
    epoch: Text | None = None
    wait: Time = 0.0
    watcher: Name | None = None

    @property
    def states(self) -> frozenset[State] | None:
        """Those to show; None for all."""
        return None if self.health is None else frozenset(map(State, self.health.split(",")))


class WatchQuery(Asked):
    """The services to tell of, as server-sent events: as many as a request line has room for."""

    service: Annotated[tuple[Name, ...], Field(max_length=32)] = ()


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
    cause: Literal["deregistered", "expired", "unknown", "backend reset"] | None
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
    services: list[ServiceSummary]


class NodeView(Said):
    """An address, and what runs there."""

    address: str
    zone: str
    instances: list[str]
    health: dict[State, int]


class Nodes(Said):
    """All addresses."""

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


class Explanations(Said):
    """All instances of a service, or one by its id."""

    name: str
    epoch: str
    instances: list[Explanation]
