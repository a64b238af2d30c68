"""What a registry and its watchers say to each other over a WebSocket. Pure: texts <-> values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import orjson

from uaitools.registry.client.fields import Fields, Garbled
from uaitools.registry.client.member import INDEX, Member, read_member
from uaitools.registry.observation import Observation


@dataclass(frozen=True, slots=True)
class Listed:
    """Who is there of a service. authoritative: an empty list may be believed."""

    service: str
    index: int
    epoch: str
    authoritative: bool
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class Put:
    """An instance is new, or has changed."""

    service: str
    index: int
    epoch: str
    member: Member


@dataclass(frozen=True, slots=True)
class Removed:
    """An instance has gone. cause: deregistered or expired."""

    service: str
    index: int
    epoch: str
    id: str
    cause: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The registry could not follow a message of ours."""

    code: int
    message: str


Change = Put | Removed
Message = Listed | Put | Removed | Failed


def read(text: str) -> Message | None:
    """What a registry has sent; None for a type that is not known here. Raises Garbled."""
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Garbled("it is no JSON") from error
    fields = Fields(document)
    match fields.text("type"):
        case "list":
            members = tuple(read_member(one) for one in fields.objects("instances"))
            return Listed(*_place(fields), fields.flag("authoritative", default=True), members)
        case "put":
            return Put(*_place(fields), read_member(fields.inner("instance")))
        case "remove":
            return Removed(*_place(fields), fields.text("id"), fields.text("cause", ""))
        case "error":
            return Failed(fields.integer("code", 9999, 0), fields.text("message", ""))
        case _:
            return None


def _place(fields: Fields) -> tuple[str, int, str]:
    return fields.text("service"), fields.integer("index", INDEX), fields.text("epoch")


def hello(watcher: str) -> str:
    """The first words: who watches."""
    return _text(type="hello", watcher=watcher)


def watch(service: str) -> str:
    """Ask for a list, and for all changes from then on.

    Asking with an index would be answered by nothing when there was no change, which is no news:
    only a list says that what is known is still so.
    """
    return _text(type="watch", service=service)


def unwatch(service: str) -> str:
    """Ask for no more of it."""
    return _text(type="unwatch", service=service)


def applied(service: str, index: int, epoch: str) -> str:
    """Say that everything up to a revision of an epoch is in force here."""
    return _text(type="applied", service=service, index=index, epoch=epoch)


def observed(observations: Iterable[Observation]) -> str:
    """Say how instances have answered."""
    return _text(type="observed", observations=[one.document() for one in observations])


def _text(**fields: object) -> str:
    return orjson.dumps(fields).decode()
