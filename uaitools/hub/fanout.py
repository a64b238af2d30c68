"""Writes to all who subscribe to a channel, without ever holding the loop for long.

However many messages come in one turn of the loop, each subscriber is written to once, with all of
them. A walk over many subscribers rests after SLICE seconds, and others have the loop for a turn;
who was written to before more messages came is written to again by the walk that these begin.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from time import monotonic
from typing import Final

from uaitools.hub.channel import Channel, Subscription
from uaitools.hub.slices import LOOK, SLICE

# A walk over many takes tens of milliseconds, and what is published while it goes on takes another
# one: those who publish at the same time, each by a request of its own, are waited for.
MANY: Final = 500  # subscribers
GATHERED: Final = 0.001  # seconds


class Fanout:
    """The walks over all channels that have something to tell. held: seconds, at most at once."""

    __slots__ = (
        "_channel",
        "_due",
        "_handle",
        "_late",
        "_later",
        "_since",
        "_waiting",
        "_walk",
        "held",
    )

    def __init__(self) -> None:
        self.held = 0.0
        self._due: dict[Channel, int] = {}  # the offset before the first message that is not told
        self._channel: Channel | None = None  # the one that is walked
        self._since = 0
        self._walk: Iterator[Subscription] = iter(())
        self._late: dict[Subscription, None] = {}  # who has more to get than one piece
        self._handle: asyncio.Handle | None = None
        self._later: asyncio.TimerHandle | None = None  # the same, when it is not soon
        self._waiting: list[asyncio.Future[None]] = []

    def __repr__(self) -> str:
        return f"<Fanout due={len(self._due)} late={len(self._late)} walking={self._channel!r}>"

    def tell(self, channel: Channel) -> None:
        """A message has been appended to a channel."""
        self._due.setdefault(channel, channel.ring.head - 1)
        if len(channel) < MANY:
            self._run_soon()
        elif self._handle is None:
            loop = asyncio.get_running_loop()
            self._handle = self._later = loop.call_later(GATHERED, self._run)

    def resume(self, subscriptions: Iterable[Subscription]) -> None:
        """Write what they have not got to subscriptions whose sink is no longer paused."""
        self._late.update(dict.fromkeys(one for one in subscriptions if one.behind))
        if self._late:
            self._run_soon()

    async def room(self, channel: Channel) -> None:
        """Wait until half of the channel's ring has been told: else those who read would lose."""
        while self._untold(channel) >= channel.policy.size / 2:
            waiting = asyncio.get_running_loop().create_future()
            self._waiting.append(waiting)
            await waiting

    def stop(self) -> None:
        """Write nothing more."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = self._later = None
        self._due.clear()
        self._late.clear()
        self._channel, self._walk = None, iter(())
        self._wake()

    def _untold(self, channel: Channel) -> int:
        since = self._since if self._channel is channel else self._due.get(channel)
        return 0 if since is None else channel.ring.head - since

    def _run_soon(self) -> None:
        if self._later is not None:
            self._later.cancel()
            self._handle = self._later = None
        if self._handle is None:
            self._handle = asyncio.get_running_loop().call_soon(self._run)

    def _run(self) -> None:
        self._handle = self._later = None
        began = monotonic()
        until = began + SLICE
        # Those who get what came earlier go first, a piece each, so that nobody waits for ever.
        late, self._late = self._late, {}
        rest = iter(late)
        done = self._write(rest, until)
        self._late.update(dict.fromkeys(rest))
        while done and self._begin():
            done = self._write(self._walk, until)
            if done and self._channel is not None:
                self._channel.told()
                self._channel = None
                self._wake()
        self.held = max(self.held, monotonic() - began)
        if not done or self._late:
            self._run_soon()

    def _begin(self) -> bool:
        """Whether there is a channel to walk; the one that has waited longest is begun."""
        if self._channel is None and self._due:
            self._channel = next(iter(self._due))
            self._since = self._due.pop(self._channel)
            self._walk = iter(list(self._channel))
        return self._channel is not None

    def _write(self, subscriptions: Iterator[Subscription], until: float) -> bool:
        """Write to each, until it is time to rest; whether that were all."""
        for count, one in enumerate(subscriptions, start=1):
            more = not one.channel.catch_up(one)
            if more:
                self._late[one] = None
            # A whole piece may have had to be compressed: 0.4 ms; a filter may take as long.
            slow = more or one.group.filters or count % LOOK == 0
            if slow and monotonic() > until:
                return False
        return True

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            if not one.done():
                one.set_result(None)
