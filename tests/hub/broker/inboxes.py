"""An inbox that remembers, and that every step it is told is the next one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from uaitools.hub.broker.port import Backlog
from uaitools.hub.message import Message


class Told:
    """One channel. messages: by epoch and offset. skips: how many, each time."""

    def __init__(self) -> None:
        self.epoch = ""
        self.head = 0
        self.messages: dict[tuple[str, int], Message] = {}
        self.skips: list[int] = []
        self.restarts = 0

    @property
    def datas(self) -> list[bytes]:
        return [one.data for one in self.messages.values()]

    def begin(self, backlog: Backlog) -> None:
        assert backlog.epoch != self.epoch
        self.epoch, self.head = backlog.epoch, backlog.base
        for one in backlog.messages:
            self.arrived(self.head + 1, one)

    def arrived(self, offset: int, message: Message) -> None:
        assert offset == self.head + 1
        self.head = offset
        self.messages[self.epoch, offset] = message


class Remembering:
    """An Inbox. channels: that were begun. orders: in order. here: who is in a channel."""

    def __init__(self) -> None:
        self.channels: dict[str, Told] = {}
        self.orders: list[Mapping[str, Any]] = []
        self.here: dict[str, set[str]] = {}
        self.changes: list[tuple[str, list[str], list[str], int]] = []

    def begin(self, channel: str, backlog: Backlog) -> Told:
        told = self.channels[channel] = Told()
        told.begin(backlog)
        return told

    def arrived(self, channel: str, offset: int, message: Message) -> None:
        self.channels[channel].arrived(offset, message)

    def skipped(self, channel: str, head: int) -> None:
        told = self.channels[channel]
        assert head > told.head
        told.skips.append(head - told.head)
        told.head = head

    def restarted(self, channel: str, backlog: Backlog) -> None:
        self.channels[channel].restarts += 1
        self.channels[channel].begin(backlog)

    def came_and_went(
        self, channel: str, joined: Sequence[str], left: Sequence[str], users: int
    ) -> None:
        assert joined or left
        assert not set(joined) & set(left)
        here = self.here.setdefault(channel, set())
        here |= set(joined)
        here -= set(left)
        self.changes.append((channel, list(joined), list(left), users))

    def ordered(self, order: Mapping[str, Any]) -> None:
        self.orders.append(order)
