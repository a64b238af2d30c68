"""How messages, orders, and who has come and gone, are written in Redis. Pure.

{"type": "built", "timestamp": 1.5}      a message: what is said about it, as JSON without line
{"build": 7}                             breaks; then its data, byte by byte as it was given

m EPOCH OFFSET                           published: a message, with its place
...

p USERS                                  published: how many there are, who has come, and who
1                                        has gone: each list with its length before it, and
3                                        each user with his
bob0
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import orjson

from uaitools.hub.message import Message
from uaitools.hub.place import Place


@dataclass(frozen=True, slots=True)
class Came:
    """Who has come to a channel, and who has gone. users: how many are there."""

    joined: Sequence[str]
    left: Sequence[str]
    users: int


def write_message(message: Message) -> bytes:
    """A message as Redis keeps it."""
    head: dict[str, Any] = {"type": message.type, "timestamp": message.timestamp}
    if message.repository_id is not None:
        head["repository_id"] = message.repository_id
    if message.user_id is not None:
        head["user_id"] = message.user_id
    if message.exclude is not None:
        head["exclude"] = message.exclude
    return orjson.dumps(head) + b"\n" + message.data


def read_message(text: bytes) -> Message:
    """A message as it was written. Raises ValueError for what is none."""
    head, newline, data = text.partition(b"\n")
    match orjson.loads(head):
        case {"type": str(kind), "timestamp": float() | int() as timestamp, **rest} if newline:
            pass
        case _:
            raise ValueError("nothing that a hub writes")
    if not rest:
        return Message(kind, data, timestamp)
    repository = rest.get("repository_id")
    if not isinstance(repository, str | int | None):
        raise ValueError("a repository's id is text, or a number")  # noqa: TRY004 - from outside
    user, exclude = _text(rest, "user_id"), _text(rest, "exclude")
    return Message(kind, data, timestamp, repository, user, exclude)


def read_published(text: bytes) -> tuple[Place, bytes] | Came:
    """What comes by pub/sub: a message as it was written, and its place. Raises ValueError."""
    head, _, rest = text.partition(b"\n")
    match head.split(b" "):
        case [b"m", epoch, offset]:
            return Place(epoch.decode(), int(offset)), rest
        case [b"p", users]:
            joined, rest = _read_list(rest)
            left, _ = _read_list(rest)
            return Came(joined, left, int(users))
    raise ValueError("nothing that a hub publishes")


def write_order(node: str, number: int, order: Mapping[str, Any]) -> bytes:
    """An order, and who gives it."""
    return b"%b %d\n%b" % (node.encode(), number, orjson.dumps(order))


def read_order(text: bytes) -> tuple[str, int, Mapping[str, Any]]:
    """Who gives an order, which of his it is, and the order. Raises ValueError."""
    head, _, body = text.partition(b"\n")
    node, _, number = head.partition(b" ")
    order = orjson.loads(body)
    if not isinstance(order, dict):
        raise ValueError("an order is a JSON object")  # noqa: TRY004 - it came from outside
    return node.decode(), int(number), cast(Mapping[str, Any], order)


def user_text(user: str) -> bytes:
    """A user's name as Redis keeps it; what UTF-8 has no bytes for becomes '?'."""
    return user.encode(errors="replace")


def _text(fields: Mapping[Any, object], name: str) -> str | None:
    found = fields.get(name)
    if not isinstance(found, str | None):
        raise ValueError(f"{name} is text")  # noqa: TRY004 - it came from outside
    return found


def _read_list(text: bytes) -> tuple[list[str], bytes]:
    count, _, rest = text.partition(b"\n")
    found = []
    for _ in range(int(count)):
        length, _, rest = rest.partition(b"\n")
        size = int(length)
        found.append(rest[:size].decode())
        rest = rest[size:]
    return found, rest
