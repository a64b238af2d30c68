"""How far a subscription has got, over all the connections that carry it in its life. Pure.

A connection is a number here, higher than those before it. While a client moves from one to
another, both say the same channel: the old one counts until the new one has taken over, and no
offset is given twice.
"""

from __future__ import annotations

from typing import Any

from uaitools.hub.client.events import Gap, Message, Reset
from uaitools.hub.client.messages import Delivered
from uaitools.hub.place import Place


class Track:
    """What is known of one channel. place: of the last message given, None before it is known."""

    __slots__ = ("_asked", "_link", "channel", "place")

    def __init__(self, channel: str, recover: Place | None = None) -> None:
        self.channel = channel
        self.place = recover
        self._link: int | None = None  # the connection whose messages count
        self._asked: dict[int, Place | None] = {}

    def __repr__(self) -> str:
        return f"<Track {self.channel} at {self.place} by {self._link}>"

    def follows(self, link: int) -> bool:
        """Whether what a connection says of the channel counts."""
        return self._link == link

    def ask(self, link: int) -> Place | None:
        """What to subscribe with, as `recover`."""
        self._asked[link] = self.place
        return self.place

    def lost(self, link: int) -> None:
        """A connection has ended."""
        self._asked.pop(link, None)
        if self._link == link:
            self._link = None

    def subscribed(self, link: int, there: Place, *, recovered: bool) -> Gap | Reset | None:
        """A connection has answered what `ask` was for; what the application has to know.

        It does not count yet if the other one has gone on to where this was not asked from: then
        ask again.
        """
        asked, known = self._asked.pop(link, None), self.place
        if self._link is not None and link < self._link:
            return None  # too late: a newer one has taken over
        if known is None:
            self._link, self.place = link, there
            return None
        if asked is None or asked.epoch != known.epoch:
            return None
        self._link = link
        return self._resumed(asked, known, there, recovered=recovered)

    def _resumed(
        self, asked: Place, known: Place, there: Place, *, recovered: bool
    ) -> Gap | Reset | None:
        if there.epoch != known.epoch or (there.offset < asked.offset and not recovered):
            return self._reset(there)
        if recovered or there.offset <= known.offset:
            return None
        return self._gap(known, there.offset)

    def message(self, link: int, said: Delivered) -> Message[Any] | None:
        """A message, if the application has to get it."""
        place = self.place
        if self._link != link or place is None or said.offset <= place.offset:
            return None
        self.place = Place(place.epoch, said.offset)
        return said.of(place.epoch)

    def gap(self, link: int, first: int, last: int) -> Gap | None:
        """Offsets that will not come, as far as they are news."""
        place = self.place
        if self._link != link or place is None or last <= place.offset:
            return None
        return self._gap(Place(place.epoch, max(first - 1, place.offset)), last)

    def reset(self, link: int, there: Place) -> Reset | None:
        """The channel begins anew."""
        return self._reset(there) if self._link == link else None

    def _gap(self, after: Place, last: int) -> Gap:
        self.place = Place(after.epoch, last)
        return Gap(self.channel, after.epoch, after.offset + 1, last)

    def _reset(self, there: Place) -> Reset:
        self.place = there
        return Reset(self.channel, there.epoch, there.offset)
