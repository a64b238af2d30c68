"""Messages on their way into Redis: numbered, sent together in their order, and again if need be.

Each has a number of this node, under which Redis remembers its place: what may or may not have
arrived when a connection broke is sent again, and gets the place that it has. One round trip is
under way at a time; what comes meanwhile goes with the next.

What waits is bounded, in number and in time. Who has waited too long is refused, and what he sent
is not sent again; should it be on its way still, Redis leaves it out once a later one has come.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import islice
from typing import Final

from uaitools.hub.broker.health import Health
from uaitools.hub.broker.retries import Retries
from uaitools.hub.broker.script import PUBLISH
from uaitools.hub.broker.wire import write_message
from uaitools.hub.channel import ChannelPolicy
from uaitools.hub.errors import Unavailable
from uaitools.hub.message import Message
from uaitools.hub.place import Place
from uaitools.redis_link import Answer, Argument, Away, Link
from uaitools.tasks import spawn

WAITING: Final = 1000  # messages
BYTES: Final = 16 * 1024 * 1024  # of their data
BATCH: Final = 128  # sent together
GRACE: Final = 0.05  # seconds: an answer that is here already is read before anybody is refused
LONGEST: Final = 10 * 365 * 86_400.0  # seconds that messages are kept at most
_WAY: Final = "publish"


class Publication:
    """One message that waits for its place. deadline: by the loop's clock."""

    __slots__ = ("channel", "deadline", "held", "key", "message", "number", "outcome", "policy")

    def __init__(
        self, number: int, channel: str, key: str, policy: ChannelPolicy, message: Message
    ) -> None:
        self.number = number
        self.channel = channel
        self.key = key
        self.policy = policy
        self.message = message
        self.deadline = 0.0
        self.held = False
        self.outcome: asyncio.Future[Place] = asyncio.get_running_loop().create_future()

    def __repr__(self) -> str:
        return f"<Publication {self.number} {self.channel} held={self.held}>"

    def refuse(self, reason: str) -> None:
        """Tell who waits that it is not to be."""
        if not self.outcome.done():
            self.outcome.set_exception(Unavailable(reason))


class Publications:
    """All that one node has under way.

    patience: seconds for which one waits at most. hold: also while it is known that Redis is away,
    when otherwise nobody waits. placed: is told the place of each, in their order.
    """

    __slots__ = (
        "_asks",
        "_away_since",
        "_bytes",
        "_health",
        "_hold",
        "_link",
        "_node",
        "_number",
        "_patience",
        "_placed",
        "_retries",
        "_sending",
        "_timer",
        "held",
        "published",
        "refused",
    )

    def __init__(
        self,
        link: Link,
        node: str,
        health: Health,
        placed: Callable[[str, Place, Message], None],
        *,
        patience: float,
        hold: bool,
    ) -> None:
        self.published = 0
        self.held = 0
        self.refused = 0
        self._link = link
        self._node = node
        self._health = health
        self._placed = placed
        self._patience = patience
        self._hold = hold
        self._number = 0
        self._bytes = 0
        self._asks: dict[int, Publication] = {}  # ascending
        self._sending: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._away_since: float | None = None
        self._retries = Retries()

    def __repr__(self) -> str:
        return f"<Publications waiting={len(self._asks)} published={self.published}>"

    async def stop(self) -> None:
        """Refuse all that wait."""
        sending, self._sending = self._sending, None
        if sending is not None:
            sending.cancel()
            with suppress(asyncio.CancelledError):
                await sending
        if self._timer is not None:
            self._timer.cancel()
        for ask in self._asks.values():
            self._refuse(ask, "this node stops")
        self._asks.clear()

    async def publish(
        self, channel: str, key: str, policy: ChannelPolicy, message: Message
    ) -> Place:
        """The place that a message got. Raises Unavailable."""
        loop = asyncio.get_running_loop()
        if len(self._asks) >= WAITING or self._bytes >= BYTES:
            self.refused += 1
            raise Unavailable("too many messages wait already")
        if not self._hold and self._away_for(loop.time()) > self._patience:
            self.refused += 1
            raise Unavailable(self._health.failing or "redis is away")
        self._number += 1
        ask = self._asks[self._number] = Publication(self._number, channel, key, policy, message)
        self._bytes += len(message.data)
        ask.deadline = loop.time() + self._patience
        self._send_soon()
        if self._timer is None:
            self._timer = loop.call_at(ask.deadline, self._due)
        return await ask.outcome

    # -- round trips ------------------------------------------------------------------------

    def _send_soon(self) -> None:
        if self._sending is None:
            self._sending = spawn(self._send(), name="hub publishes")

    async def _send(self) -> None:
        try:
            while self._asks or self._away_since is not None:
                try:
                    await self._round_trip()
                except Away as error:
                    await self._wait(error)
                else:
                    self._away_since = None
                    self._retries.succeeded()
                    self._health.met(_WAY)
        finally:
            self._sending = None

    async def _round_trip(self) -> None:
        for number in [n for n, ask in self._asks.items() if ask.outcome.done()]:
            self._remove(number)
        batch = list(islice(self._asks.values(), BATCH))
        if not batch:
            await self._link.command("PING")
            return
        first = batch[0].number
        answers = await self._link.each([(PUBLISH, self._arguments(ask, first)) for ask in batch])
        self._settle(batch, answers)

    def _arguments(self, ask: Publication, first: int) -> Sequence[Argument]:
        age = int(min(ask.policy.age, LONGEST) * 1000)
        epoch, text = secrets.token_urlsafe(8), write_message(ask.message)
        return (ask.key, epoch, self._node, ask.number, first, ask.policy.size, age, text)

    def _settle(self, batch: Sequence[Publication], answers: Sequence[Answer | Away]) -> None:
        unable: Away | None = None
        for ask, answer in zip(batch, answers, strict=True):
            match answer:
                case [bytes(epoch), int(offset)]:
                    self._remove(ask.number)
                    self.published += 1
                    place = Place(epoch.decode(), offset)
                    self._placed(ask.channel, place, ask.message)
                    if not ask.outcome.done():
                        ask.outcome.set_result(place)
                case Away(refused=False):
                    unable = answer
                case _:
                    self._remove(ask.number)
                    self._refuse(ask, str(answer) if isinstance(answer, Away) else "it came late")
        if unable is not None:
            raise unable

    async def _wait(self, error: Away) -> None:
        self._health.missed(_WAY, error)
        if self._away_since is None:
            self._away_since = asyncio.get_running_loop().time()
        for ask in self._asks.values():
            if not ask.held and not ask.outcome.done():
                ask.held = True
                self.held += 1
        await asyncio.sleep(self._retries.failed())

    def _away_for(self, now: float) -> float:
        return 0.0 if self._away_since is None else now - self._away_since

    # -- patience ---------------------------------------------------------------------------

    def _due(self) -> None:
        # After a stop of this process its timers come before the answers that are here already.
        self._timer = asyncio.get_running_loop().call_later(GRACE, self._expire)

    def _expire(self) -> None:
        loop = asyncio.get_running_loop()
        now, self._timer = loop.time() - GRACE, None
        while self._asks:
            ask = next(iter(self._asks.values()))
            if ask.deadline > now and not ask.outcome.done():
                self._timer = loop.call_at(ask.deadline, self._due)
                return
            self._remove(ask.number)
            self._refuse(ask, self._health.failing or "redis is too slow")

    def _remove(self, number: int) -> None:
        ask = self._asks.pop(number, None)
        if ask is not None:
            self._bytes -= len(ask.message.data)

    def _refuse(self, ask: Publication, reason: str) -> None:
        if not ask.outcome.done():
            self.refused += 1
            ask.refuse(reason)
