"""What the hub says, read: docs/hub-protocol.md. Pure.

Keys that are not known are passed over, and notices that are not known are None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from uaitools.hub.client.errors import Garbled
from uaitools.hub.client.events import Attendance, Direct, Message, Page, Presence
from uaitools.hub.place import Place


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to the command with that id. type: `error` when it was not done."""

    id: int
    type: str
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Delivered:
    """A message of a channel; of which epoch, the subscription knows."""

    channel: str
    offset: int
    type: str
    timestamp: str
    data: Any
    user_id: str | None
    repository_id: str | int | None

    def of(self, epoch: str) -> Message[Any]:
        """The message that an application gets."""
        return Message(
            self.channel,
            epoch,
            self.offset,
            self.type,
            self.timestamp,
            self.data,
            self.user_id,
            self.repository_id,
        )


@dataclass(frozen=True, slots=True)
class Welcome:
    """What the hub expects of a client.

    ping: seconds between the hub's pings. largest: bytes of a command. rate, burst: of commands, a
    second and at once.
    """

    ping: float
    largest: int
    rate: float = 50.0
    burst: int = 100


@dataclass(frozen=True, slots=True)
class Skipped:
    """Offsets that will not come."""

    channel: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Restarted:
    """The channel's history was lost; it is at this place."""

    channel: str
    place: Place


@dataclass(frozen=True, slots=True)
class Dismissed:
    """A subscription was ended by the hub."""

    channel: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Move:
    """The node stops: connect again after so many seconds."""

    after: float


@dataclass(frozen=True, slots=True)
class Complaint:
    """Something was no command, and could not be answered."""

    code: str
    message: str


Notice = Welcome | Skipped | Restarted | Presence | Dismissed | Move | Complaint | Direct
Said = Reply | Delivered | Notice

_NOTICES: Final = frozenset(
    {"welcome", "gap", "reset", "presence", "unsubscribed", "reconnect", "error", "direct"}
)


def read(text: str) -> Said | None:
    """What a text of the hub says, None for what is not known yet. Raises Garbled."""
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Garbled("it is no JSON") from error
    match document:
        case {"id": int(id_), "type": str(type_)}:
            return Reply(id_, type_, document)
        # A publisher's word may be that of a notice: only messages have both of these.
        case {"offset": int(), "data": _}:
            return _delivered(document)
        case {"type": str(type_)}:
            return _notice(type_, document)
    raise Garbled("it is no object with a type")


def _delivered(document: Mapping[str, Any]) -> Delivered:
    match document:
        case {
            "channel": str(channel),
            "offset": int(offset),
            "type": str(type_),
            "timestamp": str(timestamp),
            "data": data,
        }:
            user_id, repository_id = document.get("user_id"), document.get("repository_id")
            return Delivered(channel, offset, type_, timestamp, data, user_id, repository_id)
    raise Garbled("a message without a channel, type or timestamp")


def _notice(type_: str, document: Mapping[str, Any]) -> Notice | None:
    found = _of_channel(document) if "channel" in document else _of_connection(document)
    if found is None and type_ in _NOTICES:
        raise Garbled(f"a notice {type_} without what belongs to it")
    return found


def _of_channel(document: Mapping[str, Any]) -> Notice | None:
    match document:
        case {"type": "gap", "channel": str(channel), "from": int(first), "to": int(last)}:
            return Skipped(channel, first, last)
        case {"type": "reset", "channel": str(channel), "epoch": str(epoch), "offset": int(offset)}:
            return Restarted(channel, Place(epoch, offset))
        case {
            "type": "presence",
            "channel": str(channel),
            "joined": [*joined],
            "left": [*left],
            "users": int(users),
        }:
            return Presence(channel, tuple(joined), tuple(left), users)
        case {"type": "unsubscribed", "channel": str(channel)}:
            code, reason = document.get("code", ""), document.get("reason", "")
            return Dismissed(channel, str(code), str(reason))
    return None


def _of_connection(document: Mapping[str, Any]) -> Notice | None:
    match document:
        case {"type": "welcome", "ping": int(ping) | float(ping), "largest": int(largest)}:
            rate, burst = document.get("rate"), document.get("burst")
            if isinstance(rate, int | float) and rate > 0 and isinstance(burst, int):
                return Welcome(float(ping), largest, float(rate), burst)
            return Welcome(float(ping), largest)  # of a hub that does not say it
        case {"type": "reconnect", "after_ms": int(after) | float(after)}:
            return Move(max(0.0, after / 1000))
        case {"type": "error", "code": str(code), "message": str(message)}:
            return Complaint(code, message)
        case {"type": "direct", "event": str(event), "data": data}:
            return Direct(event, str(document.get("timestamp", "")), data)
    return None


# -- what replies hold ----------------------------------------------------------------------------


def place_of(reply: Reply) -> Place:
    """Where a channel is, of those replies that say it. Raises Garbled."""
    match reply.document:
        case {"epoch": str(epoch), "offset": int(offset)}:
            return Place(epoch, offset)
    raise Garbled(f"a reply {reply.type} without epoch and offset")


def page_of(reply: Reply) -> Page:
    """The messages of a `history`. Raises Garbled."""
    place = place_of(reply)
    match reply.document:
        case {"messages": [*messages], "lost": int() | None as lost, "more": bool(more)}:
            return Page(place, [_delivered(one).of(place.epoch) for one in messages], lost, more)
    raise Garbled("a history without messages, lost and more")


def attendance_of(reply: Reply) -> Attendance:
    """The users of a `presence`. Raises Garbled."""
    match reply.document:
        case {"users": int(users), "connections": int(connections), "page": [*page]}:
            return Attendance(users, connections, dict(map(_present, page)), _after(reply))
    raise Garbled("a presence without users, connections and page")


def _present(one: object) -> tuple[str, int]:
    match one:
        case {"user": str(user), "connections": int(connections)}:
            return user, connections
    raise Garbled("a page of a presence without users and connections")


def _after(reply: Reply) -> str | None:
    after = reply.document.get("next")
    return after if isinstance(after, str) else None


def error_of(reply: Reply) -> tuple[str, str]:
    """The code and the text of an `error`. Raises Garbled."""
    match reply.document:
        case {"code": str(code), "message": str(message)}:
            return code, message
    raise Garbled("an error without code and message")
