"""What comes over HTTP: bodies and queries, as pydantic models."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import uuid4

from pydantic import Field

from uaitools.fields import Asked
from uaitools.registry import model
from uaitools.registry.api.fields import (
    Address,
    Big,
    Label,
    Meta,
    Name,
    Path,
    Port,
    Repeated,
    States,
    Tags,
    Text,
    Time,
    Ttl,
    Weight,
)
from uaitools.registry.evidence import State
from uaitools.registry.observation import Observation


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


class LoadModel(Asked):
    """What an instance has to do."""

    connections: Big = 0
    in_flight: Big = 0
    bytes: Big = 0

    def value(self) -> model.Load:
        """As the registry takes it."""
        return model.Load(self.connections, self.in_flight, self.bytes)


class Heartbeat(Asked):
    """An instance lives."""

    generation: Big
    load: LoadModel | None = None


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


class Generation(Asked):
    """generation: only if it is still this one."""

    generation: Big | None = None


class Waiting(Asked):
    """wait: answer at once when there is something to say, else after so long."""

    wait: Time = 0.0


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
