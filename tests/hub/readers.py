"""Channels of lines of JSON, and those who read them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from uaitools.hub.channel import Channel, ChannelPolicy, Policy
from uaitools.hub.closing import Closing
from uaitools.hub.ring import Ring


class Reader:
    """A sink that keeps what it gets, in its order. writes: how often it was written to."""

    def __init__(self) -> None:
        self.paused = False
        self.got: list[Any] = []
        self.writes = 0
        self.ended: Closing | None = None
        self.on_delivery: Callable[[], object] = lambda: None

    def deliver(self, data: bytes) -> None:
        assert not self.paused
        self.writes += 1
        self.got += [orjson.loads(line) for line in data.splitlines()]
        self.on_delivery()

    def notice(self, frame: bytes) -> None:
        raise AssertionError(frame)

    def gap(self, channel: Channel, first: int, last: int) -> None:
        assert not self.paused
        self.got.append((channel.name, first, last))

    def reset(self, channel: Channel) -> None:
        assert not self.paused
        self.got.append((channel.name, channel.ring.epoch, channel.ring.head))

    def end(self, closing: Closing) -> None:
        self.ended = closing


def channel(slow: Policy = Policy.RESUME, *, size: int, backlog: int = 3) -> Channel:
    policy = ChannelPolicy(slow, size=size, backlog=backlog)
    return Channel("c", policy, Ring("e", size=size), orjson.loads)


def publish(one: Channel, *data: Any) -> None:
    for message in data:
        one.append(orjson.dumps(message) + b"\n", message, 0.0)
