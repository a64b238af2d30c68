"""Who is in which channel at this node, and what of it is still to be told to others. Pure.

Only the newest state is told: who came and went in between is nobody's news.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Final

CHANNELS: Final = 100  # told together
USERS: Final = 500  # of one channel, told together


class Part:
    """What is told together.

    users: by channel, with their connections. entered, emptied: channels that have somebody in
    them, or nobody any more.
    """

    __slots__ = ("emptied", "entered", "users")

    def __init__(
        self, users: Mapping[str, Mapping[str, int]], entered: list[str], emptied: list[str]
    ) -> None:
        self.users = users
        self.entered = entered
        self.emptied = emptied

    def __repr__(self) -> str:
        return f"<Part channels={len(self.users)} emptied={len(self.emptied)}>"


class Roster:
    """Users and their connections, by channel."""

    __slots__ = ("_empty", "_here", "_untold")

    def __init__(self) -> None:
        self._here: dict[str, dict[str, int]] = {}
        self._untold: dict[str, dict[str, int]] = {}
        self._empty: dict[str, None] = {}  # that were told to have nobody in them

    def __repr__(self) -> str:
        return f"<Roster channels={len(self._here)} untold={len(self._untold)}>"

    def __bool__(self) -> bool:
        """Whether there is something to tell."""
        return bool(self._untold or self._empty)

    def attend(self, channel: str, user: str, connections: int) -> None:
        """A user has so many connections now."""
        here = self._here.setdefault(channel, {})
        if connections > 0:
            here[user] = connections
        else:
            here.pop(user, None)
            if not here:
                del self._here[channel]
        self._untold.setdefault(channel, {})[user] = max(0, connections)

    def take(self) -> Part:
        """What is to be told next."""
        users = {}
        for channel in list(islice(self._untold, CHANNELS)):
            untold = self._untold[channel]
            users[channel] = {user: untold.pop(user) for user in list(islice(untold, USERS))}
            if not untold:
                del self._untold[channel]
        entered = [channel for channel in users if channel in self._here]
        emptied = [one for one in islice(self._empty, CHANNELS) if one not in self._untold]
        emptied = [one for one in emptied if one not in self._here and one not in users]
        return Part(users, entered, emptied)

    def told(self, part: Part) -> None:
        """It was told."""
        for channel in part.emptied:
            self._empty.pop(channel, None)
        for channel in part.users:
            if channel not in self._here:
                self._empty[channel] = None
        for channel in [one for one in self._empty if one in self._here]:
            del self._empty[channel]

    def untold(self, part: Part) -> None:
        """It may not have been told: what has changed since then counts more."""
        for channel, users in part.users.items():
            self._untold[channel] = {**users, **self._untold.get(channel, {})}

    def renew(self) -> None:
        """All is to be told anew, to who knows nothing."""
        self._untold = {channel: dict(users) for channel, users in self._here.items()}
        self._empty.clear()
