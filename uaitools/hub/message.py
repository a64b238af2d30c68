"""What is published, and the JSON that clients get of it. Pure.

Everything that the hub says is made here: messages of channels, replies and notices; see
docs/hub-protocol.md.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from uaitools.hub.errors import BadData
from uaitools.hub.frames import TEXT, encode, payload


@dataclass(frozen=True, slots=True)
class Message:
    """What is published.

    data: JSON. timestamp: unix seconds. exclude: the id of a connection that does not get it.
    """

    type: str
    data: bytes
    timestamp: float
    repository_id: str | int | None = None
    user_id: str | None = None
    exclude: str | None = None


def encode_data(data: object) -> bytes:
    """The `data` of a message as JSON. Raises BadData.

    Whole numbers of over 64 bits become doubles, as most clients make of them: RFC 8259 6.
    """
    try:
        return orjson.dumps(data)
    except TypeError as error:
        try:
            return orjson.dumps(orjson.loads(json.dumps(data, allow_nan=False)))
        except (TypeError, ValueError):
            raise BadData(f"data: {error}") from error


def timestamp(unix: float) -> str:
    """A time as clients get it: RFC 3339, with milliseconds."""
    return f"{datetime.fromtimestamp(unix, UTC):%Y-%m-%dT%H:%M:%S}.{int(unix % 1 * 1000):03}Z"


def frame_message(channel: str, offset: int, message: Message) -> bytes:
    """A message with its place in a channel, framed for all who get it."""
    ids = b""
    if message.repository_id is not None:
        ids += b',"repository_id":' + orjson.dumps(message.repository_id)
    if message.user_id is not None:
        ids += b',"user_id":' + orjson.dumps(message.user_id)
    text = b'{"type":%b,"channel":%b,"offset":%d,"timestamp":"%b"%b,"data":%b}' % (
        orjson.dumps(message.type),
        orjson.dumps(channel),
        offset,
        timestamp(message.timestamp).encode(),
        ids,
        message.data,
    )
    return encode(TEXT, text)


def read_data(frame: bytes) -> Any:
    """The `data` of a framed message."""
    return orjson.loads(payload(frame))["data"]


def frame_text(document: object) -> bytes:
    """A reply or a notice, framed."""
    return encode(TEXT, orjson.dumps(document))
