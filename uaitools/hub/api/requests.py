"""What comes over HTTP: bodies and queries, as pydantic models."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, model_validator

from uaitools.fields import Asked, User
from uaitools.hub.api.fields import (
    Channel,
    Connection,
    Grant,
    Limit,
    Name,
    Places,
    Repository,
    Seconds,
    Token,
)
from uaitools.hub.place import EPOCH


class Said(Asked):
    """What is sent to somebody. exclude: the connection that does not get it."""

    type: Name = "message"
    data: Any = None
    repository_id: Repository | None = None
    user_id: User | None = None
    exclude: Connection | None = None


class Publication(Said):
    """A message for a channel."""

    channel: Channel


class Direct(Asked):
    """A notice for one connection. type: its `event`."""

    type: Name = "message"
    data: Any = None


def _only(given: str, other: str) -> dict[str, Any]:
    """One field is there, and another is not, in words of JSON schema."""
    types = {given: {"type": "string"}, other: {"type": "null"}}
    return {"required": [given], "properties": types}


class Disconnect(Asked):
    """Whose connections end: a user's, or one."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [_only("user", "connection"), _only("connection", "user")]}
    )

    user: User | None = None
    connection: Connection | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.user is None) is (self.connection is None):
            raise ValueError("give user or connection")
        return self


class PresenceQuery(Asked):
    """A page of who is in a channel, after a user."""

    after: User | None = None
    limit: Limit = 100


class HistoryQuery(Asked):
    """A page of a channel's messages, after a place or the newest."""

    epoch: Annotated[str, Field(pattern=f"^{EPOCH}$")] | None = None
    offset: Annotated[int, Field(ge=0, lt=1 << 53)] = 0
    limit: Limit = 100


class ConnectionsQuery(Asked):
    """A page of the connections of this node, after one, by id."""

    user: User | None = None
    channel: Channel | None = None
    lag: Annotated[int, Field(ge=0)] = 0
    after: Connection | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 100


class Following(Asked):
    """Channels to follow. after: a place in them. grant: tokens for private ones. token: who."""

    channel: Annotated[tuple[Channel, ...], Field(min_length=1, max_length=32)]
    after: Places = ""
    grant: Annotated[tuple[Grant, ...], Field(max_length=32)] = ()
    token: Token | None = None


class Polling(Following):
    """The same, and how long to wait for something: seconds."""

    wait: Seconds = 25
