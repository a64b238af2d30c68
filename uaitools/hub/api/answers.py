"""What is said over HTTP, as pydantic models."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


class Published(BaseModel):
    """Where a message has its place."""

    channel: str
    epoch: str
    offset: int


class Delivered(BaseModel):
    """here: the connection is at this node and reads; otherwise other nodes were told."""

    here: bool


class Disconnected(BaseModel):
    """here: how many connections were ended at this node; other nodes were told."""

    here: int


class Present(BaseModel):
    """A user in a channel."""

    user: str
    connections: int


class Attendance(BaseModel):
    """Who is in a channel. next: what the next page comes after."""

    channel: str
    users: int
    connections: int
    page: list[Present]
    next: str | None


class History(BaseModel):
    """What was said in a channel, up to `offset`; see docs/hub-protocol.md."""

    channel: str
    epoch: str
    offset: int
    messages: list[dict[str, Any]]
    lost: int | None
    more: bool


class Subscribed(BaseModel):
    """A channel of a connection. lag: messages that it has not got, and the oldest one's age."""

    channel: str
    offset: int
    lag: int
    lag_ms: int


class Connection(BaseModel):
    """One connection. age, last_heard: seconds. last_ping: seconds since, null for never."""

    id: str
    kind: str
    user: str | None
    address: str
    age: float
    last_heard: float
    last_ping: float | None
    lag: int
    lag_ms: int
    bytes_sent: int
    bytes_kept: int
    channels: list[Subscribed]


class Connections(BaseModel):
    """The connections of this node. next: what the next page comes after."""

    count: int
    page: list[Connection]
    next: str | None


class Followed(BaseModel):
    """What came in a channel, up to `offset`."""

    channel: str
    epoch: str
    offset: int
    recovered: bool | None
    messages: list[dict[str, Any]]


class Polled(BaseModel):
    """What came. after: ask with this again."""

    after: str
    channels: list[Followed]
