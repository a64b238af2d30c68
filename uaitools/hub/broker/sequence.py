"""Puts what comes of one channel in order, whatever way it comes. Pure.

A message comes back to the node that published it as the answer, and to all nodes by pub/sub, which
keeps the order and drops what was published while a connection was lost. What is missing is read
from the stream, and what is no longer there is skipped.

    the next offset             goes on to the inbox, and what had come before it with it
    one that was there          is dropped
    a later one, by pub/sub     others were lost: read
    a later one, as an answer   others are on their way: wait
    another epoch               the history was lost: read
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from uaitools.hub.broker.port import Backlog, Inbox
from uaitools.hub.message import Message
from uaitools.hub.place import Place

EARLY: Final = 256  # messages of a channel that wait for others, at most


class Stored:
    """What was read of a channel. messages: by offset, ascending, what is kept after an offset."""

    __slots__ = ("epoch", "head", "messages")

    def __init__(self, epoch: str, head: int, messages: Mapping[int, Message]) -> None:
        self.epoch = epoch
        self.head = head
        self.messages = messages

    def __repr__(self) -> str:
        return f"<Stored {self.epoch}:{self.head} messages={len(self.messages)}>"

    @property
    def backlog(self) -> Backlog:
        """The newest messages, without a hole."""
        found: list[Message] = []
        offset = self.head
        while (message := self.messages.get(offset)) is not None:
            found.append(message)
            offset -= 1
        return Backlog(self.epoch, offset, found[::-1])


class Sequence:
    """One channel, as far as the inbox has been told. place: of what it was told last.

    behind: it has to be read, from `place` on. filled, skipped: messages. restarts: epochs.
    """

    __slots__ = (
        "_asked",
        "_channel",
        "_early",
        "_inbox",
        "_strange",
        "behind",
        "filled",
        "place",
        "restarts",
        "skipped",
    )

    def __init__(self, channel: str, inbox: Inbox) -> None:
        self._channel = channel
        self._inbox = inbox
        self.place: Place | None = None
        self.behind = True
        self.filled = 0
        self.skipped = 0
        self.restarts = 0
        self._early: dict[int, tuple[Message, bool]] = {}  # of the epoch; whether by pub/sub
        self._strange = False  # something came since it was asked for that may be newer than that
        self._asked = False

    def __repr__(self) -> str:
        return (
            f"<Sequence {self._channel} {self.place} early={len(self._early)} behind={self.behind}>"
        )

    def take(self, place: Place, message: Message, *, answer: bool) -> None:
        """A message has come: as the answer to who published it, or by pub/sub."""
        known = self.place
        if known is None or place.epoch != known.epoch:
            self._miss()
        elif place.offset == known.offset + 1:
            self._tell(place, message)
            if self._early:
                self._go_on()
        elif place.offset > known.offset:
            self._keep(place.offset, message, answer=answer)

    def lose(self) -> None:
        """What came by pub/sub may have been lost."""
        self._miss()

    def ask(self) -> Place | None:
        """It is being read, from this place on."""
        self._asked, self._strange = True, False
        return self.place

    def begin(self, stored: Stored) -> Backlog:
        """It was read for the first time: this is what the inbox has."""
        self.place = Place(stored.epoch, stored.head)
        self._end()
        return stored.backlog

    def give(self, stored: Stored) -> None:
        """It was read."""
        known = self.place
        assert known is not None
        if stored.epoch != known.epoch:
            self.place = Place(stored.epoch, stored.head)
            self._early.clear()
            self.restarts += 1
            self._inbox.restarted(self._channel, stored.backlog)
        else:
            self._fill(known, stored)
        self._end()

    def _fill(self, known: Place, stored: Stored) -> None:
        there = {offset: one for offset, (one, _) in self._early.items() if offset <= stored.head}
        there.update(stored.messages)
        for offset in sorted(there):
            if offset > known.offset:
                self._skip(known.epoch, offset - 1)
                self.filled += 1
                self._tell(Place(known.epoch, offset), there[offset])
        self._skip(known.epoch, stored.head)

    def _skip(self, epoch: str, head: int) -> None:
        assert self.place is not None
        if head > self.place.offset:
            self.skipped += head - self.place.offset
            self.place = Place(epoch, head)
            self._inbox.skipped(self._channel, head)

    def _tell(self, place: Place, message: Message) -> None:
        self.place = place
        self._inbox.arrived(self._channel, place.offset, message)

    def _go_on(self) -> None:
        place = self.place
        assert place is not None
        while (early := self._early.pop(place.offset + 1, None)) is not None:
            place = Place(place.epoch, place.offset + 1)
            self._tell(place, early[0])

    def _keep(self, offset: int, message: Message, *, answer: bool) -> None:
        if offset not in self._early and len(self._early) == EARLY:
            if not answer:
                self._miss()
        elif not answer:
            self._early[offset] = (message, True)
            self.behind = True
        else:
            self._early.setdefault(offset, (message, False))

    def _miss(self) -> None:
        self.behind = True
        self._strange = self._asked

    def _end(self) -> None:
        assert self.place is not None
        upto = self.place.offset
        self._early = {offset: one for offset, one in self._early.items() if offset > upto}
        self._go_on()
        self.behind = self._strange or any(published for _, published in self._early.values())
        self._asked = False
