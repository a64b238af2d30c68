"""All channels of a node: opened when somebody wants one, closed when nobody has for a while.

This is the broker's inbox: what is told of a channel goes to its ring, and from there to all who
subscribe.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from time import monotonic, time
from typing import Any, Final

import orjson

from uaitools.hub.broker.port import Backlog, Broker
from uaitools.hub.channel import Channel
from uaitools.hub.errors import Crowded
from uaitools.hub.fanout import Fanout
from uaitools.hub.message import Message, frame_message, read_data
from uaitools.hub.ring import Ring
from uaitools.hub.rules import Rules
from uaitools.tasks import spawn

IDLE: Final = 60.0  # seconds that a channel stays open at least


class Channels:
    """The channels that are open. See broker.port.Inbox for what is told to it.

    most: open at once. told: is called with who has come to a channel and gone. ordered: with what
    other nodes call.
    """

    def __init__(
        self,
        broker: Broker,
        rules: Rules,
        fanout: Fanout,
        most: int,
        *,
        told: Callable[[Channel, Sequence[str], Sequence[str], int], object],
        ordered: Callable[[Mapping[str, Any]], object],
        omit: Callable[[str, Channel, int], object],
    ) -> None:
        self._broker = broker
        self._rules = rules
        self._fanout = fanout
        self._most = most
        self._told = told
        self._omit = omit
        self._ordered = ordered
        self.arrivals = 0  # messages
        self._open: dict[str, Channel] = {}
        self._opening: dict[str, asyncio.Task[Channel]] = {}
        # What is told of a channel before its backlog has been taken up.
        self._early: dict[str, list[Callable[[], None]]] = {}

    def __repr__(self) -> str:
        return f"<Channels open={len(self)} opening={len(self._opening)}>"

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Channel]:
        return iter(self._open.values())

    def get(self, name: str) -> Channel | None:
        """A channel, if it is open."""
        return self._open.get(name)

    async def open(self, name: str, *, guest: bool = False) -> Channel:
        """A channel, with what is kept of it. Raises Unavailable and Crowded.

        guest: for somebody without a credential; of all channels half are for others.
        """
        channel = self._open.get(name)
        if channel is None:
            opening = self._opening.get(name)
            if opening is None:
                most = self._most // 2 if guest else self._most
                if len(self._open) + len(self._opening) >= most:
                    raise Crowded(most)
                opening = spawn(self._follow(name), name=f"open {name}")
                self._opening[name] = opening
                opening.add_done_callback(partial(self._opened, name))
            channel = await asyncio.shield(opening)
        channel.used = monotonic()
        channel.ring.expire(channel.used)
        return channel

    def _opened(self, name: str, opening: asyncio.Task[Channel]) -> None:
        self._opening.pop(name, None)
        if not opening.cancelled():
            opening.exception()  # whoever waited has it, and who has gone does not want it

    def look(self, channel: Channel) -> None:
        """Forget old messages, and close a channel that nobody has used for as long."""
        now = monotonic()
        channel.ring.expire(now)
        kept = channel.policy.age if channel.ring.head else 0.0  # of what never was nothing is lost
        idle = now - channel.used > max(IDLE, kept)
        if idle and not channel.busy and not len(channel.ring) and channel.name in self._open:
            del self._open[channel.name]
            self._broker.unfollow(channel.name)

    async def _follow(self, name: str) -> Channel:
        policy = self._rules.find(name).policy
        self._early[name] = []
        try:
            backlog = await self._broker.follow(name, policy)
        finally:
            early = self._early.pop(name)
        channel = Channel(name, policy, self._filled(name, backlog), read_data)
        channel.used = monotonic()
        self._open[name] = channel
        for tell in early:
            tell()
        return channel

    def _filled(self, name: str, backlog: Backlog) -> Ring:
        policy = self._rules.find(name).policy
        ring = Ring(backlog.epoch, size=policy.size, age=policy.age, base=backlog.base)
        now, wall = monotonic(), time()
        for message in backlog.messages:
            came = now - max(0.0, wall - message.timestamp)
            ring.append(frame_message(name, ring.head + 1, message), came)
        return ring

    # -- what the broker tells: see broker.port.Inbox -----------------------------------------

    def arrived(self, channel: str, offset: int, message: Message) -> None:
        """A message has come."""
        one = self._open.get(channel)
        if one is None:
            self._keep(channel, partial(self.arrived, channel, offset, message))
            return
        if offset <= one.ring.head:
            return  # the backlog has it
        now = monotonic()
        one.used = now
        self.arrivals += 1
        data = orjson.loads(message.data) if one.filtered else None
        one.append(frame_message(channel, offset, message), data, now)
        if message.exclude is not None:
            self._omit(message.exclude, one, offset)
        self._fanout.tell(one)

    def skipped(self, channel: str, head: int) -> None:
        """Messages cannot be had any more."""
        one = self._open.get(channel)
        if one is None:
            self._keep(channel, partial(self.skipped, channel, head))
        elif head > one.ring.head:
            one.ring.skip(head)
            self._fanout.tell(one)

    def restarted(self, channel: str, backlog: Backlog) -> None:
        """The history was lost."""
        one = self._open.get(channel)
        if one is None:
            self._keep(channel, partial(self.restarted, channel, backlog))
        else:
            one.restart(self._filled(channel, backlog))
            self._fanout.tell(one)

    def came_and_went(
        self, channel: str, joined: Sequence[str], left: Sequence[str], users: int
    ) -> None:
        """Users have come to a channel, or gone."""
        one = self._open.get(channel)
        if one is not None and self._rules.find(channel).joins:
            self._told(one, joined, left, users)

    def ordered(self, order: Mapping[str, Any]) -> None:
        """Another node calls."""
        self._ordered(order)

    def _keep(self, channel: str, tell: Callable[[], None]) -> None:
        """What is told of a channel that is being opened; of one that is closed it is nothing."""
        early = self._early.get(channel)
        if early is not None:
            early.append(tell)
