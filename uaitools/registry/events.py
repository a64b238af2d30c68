"""What happens to the table: one value for each kind of change, and how it is written down.

Whatever changes the table is one of these, applied in one order. The same events in the same order
make the same table, revisions and all: that is how a restart, and every registry that shares a
log with others, comes to the same list.

generation: of the registration that an event is about; None, where that may be, for whichever
there is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, get_args

from uaitools.registry.evidence import Word
from uaitools.registry.model import Check, Instance, Load


@dataclass(frozen=True, slots=True)
class Register:
    """An instance is there, in place of the one with its id. The generation is new."""

    instance: Instance


@dataclass(frozen=True, slots=True)
class Deregister:
    """An instance leaves by its own wish."""

    id: str
    generation: int | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """An instance gets another weight, tags or meta; None leaves them."""

    id: str
    weight: int | None = None
    tags: tuple[str, ...] | None = None
    meta: Mapping[str, str] | None = None
    generation: int | None = None


@dataclass(frozen=True, slots=True)
class Maintain:
    """An operator takes an instance out, for a reason, or with None lets it in again."""

    id: str
    reason: str | None
    generation: int | None = None


@dataclass(frozen=True, slots=True)
class Drain:
    """Nothing new is to be sent to an instance. within: seconds to wait; None ends the drain."""

    id: str
    within: float | None
    generation: int | None = None


@dataclass(frozen=True, slots=True)
class Beat:
    """An instance is heard of for the first time, again after silence, or while it drains."""

    id: str
    generation: int
    load: Load | None = None


@dataclass(frozen=True, slots=True)
class Silence:
    """No heartbeat came for the ttl. protected: why that is not held against it, '' if it is."""

    id: str
    generation: int
    protected: str = ""


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check says of an instance from now on."""

    id: str
    generation: int
    number: int
    word: Word
    reason: str


@dataclass(frozen=True, slots=True)
class Observed:
    """What proxies see of an instance."""

    id: str
    generation: int
    word: Word
    reason: str


@dataclass(frozen=True, slots=True)
class Pass:
    """Nothing but time."""


@dataclass(frozen=True, slots=True)
class Wall:
    """From now on clocks on walls are `shift` seconds ahead of the table's time."""

    shift: float


Event = (
    Register
    | Deregister
    | Change
    | Maintain
    | Drain
    | Beat
    | Silence
    | Checked
    | Observed
    | Pass
    | Wall
)
_KINDS: Final[Mapping[str, type[Any]]] = {kind.__name__.lower(): kind for kind in get_args(Event)}


def subject(event: Event) -> str:
    """The id of the instance that an event is about, '' for none."""
    match event:
        case Register(instance):
            return instance.id
        case Pass() | Wall():
            return ""
    return event.id


def encode(event: Event) -> dict[str, Any]:
    """The event as a document for orjson."""
    kind = type(event).__name__.lower()
    match event:
        case Register(instance):
            return {"kind": kind, "instance": encode_instance(instance)}
        case Checked() | Observed():
            return {"kind": kind, **asdict(event), "word": event.word.value}
    fields = {name: value for name, value in asdict(event).items() if value is not None}
    return {"kind": kind, **fields}


def decode(document: Mapping[str, Any]) -> Event:
    """The event that `encode` wrote. Raises ValueError for anything else."""
    fields = dict(document)
    try:
        kind = _KINDS[fields.pop("kind")]
        if "instance" in fields:
            fields["instance"] = decode_instance(fields["instance"])
        if "word" in fields:
            fields["word"] = Word(fields["word"])
        if fields.get("load") is not None:
            fields["load"] = Load(**fields["load"])
        if fields.get("tags") is not None:
            fields["tags"] = tuple(fields["tags"])
        if kind in (Maintain, Drain):  # None means something there
            fields.setdefault("reason" if kind is Maintain else "within", None)
        event: Event = kind(**fields)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not an event: {error}") from error
    return event


def encode_instance(instance: Instance) -> dict[str, Any]:
    """An instance as a document for orjson."""
    return {
        "id": instance.id,
        "name": instance.name,
        "address": instance.address,
        "port": instance.port,
        "generation": instance.generation,
        "scheme": instance.scheme,
        "version": instance.version,
        "zone": instance.zone,
        "weight": instance.weight,
        "ttl": instance.ttl,
        "tags": sorted(instance.tags),
        "meta": dict(instance.meta),
        "checks": [asdict(check) for check in instance.checks],
    }


def decode_instance(document: Mapping[str, Any]) -> Instance:
    """The instance that `encode_instance` wrote. Raises KeyError or TypeError for anything else."""
    fields = dict(document)
    fields["tags"] = frozenset(fields["tags"])
    fields["checks"] = tuple(Check(**check) for check in fields["checks"])
    return Instance(**fields)
