"""What others do to the data: which generation there is, and what has been reported.

Notices tell of both within milliseconds. Who cannot hear them (a pooler in between, a connection
that has ended) is not wrong for long: every second the database is asked anyhow.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, Protocol

from uaitools.errors import ServiceError
from uaitools.insight.store import events, generations
from uaitools.insight.store.events import Event, Events
from uaitools.insight.store.generations import Generations, State
from uaitools.postgres.notices import Notices
from uaitools.rounds import Rounds

_EVERY: Final = 1.0  # seconds
_AT_ONCE: Final = 1000  # events


class Follower(Protocol):
    """Who is told, one thing after the other. Neither method may raise."""

    async def renewed(self, state: State) -> None:
        """There is another generation; also at the start."""

    async def reported(self, events: Sequence[Event]) -> None:
        """There are other events, in their order."""


class Following(Rounds):
    """Tells `followers`, in their order. state: the newest that is known."""

    state: State

    def __init__(
        self,
        generations_: Generations,
        events_: Events,
        notices: Notices,
        followers: Sequence[Follower],
    ) -> None:
        super().__init__(self._round, _EVERY, "follow the data")
        self.followers = list(followers)
        self._generations = generations_
        self._events = events_
        self._number = 0  # of the last event
        self._looking = asyncio.Lock()
        notices.subscribe(generations.CHANNEL, self)
        notices.subscribe(events.CHANNEL, self)

    async def start(self) -> None:
        """Know what there is, and follow from there. Raises DatabaseAway and PoolExhausted."""
        self.state = await self._generations.state()
        self._number = await self._events.newest()
        for one in self.followers:
            await one.renewed(self.state)
        await super().start()

    def hear(self, texts: Sequence[str]) -> None:
        """See notices.Subscriber."""
        del texts  # how far we are is known here
        self.notify()

    def listen(self, *, hears: bool) -> None:
        """See notices.Subscriber."""
        del hears  # what was missed is looked for anyhow
        self.notify()

    async def _round(self) -> None:
        with suppress(ServiceError):  # the database is away, as its probe has said
            await self.look()

    async def look(self) -> None:
        """Tell of what there is by now. Raises DatabaseAway and PoolExhausted."""
        async with self._looking:
            state = await self._generations.state()
            if state.generation != self.state.generation:
                self.state = state
                for one in self.followers:
                    await one.renewed(state)
            while found := await self._events.since(self._number, _AT_ONCE):
                for one in self.followers:
                    await one.reported(found)
                self._number = found[-1].number
