"""Who is in a channel. Pure.

A user is there from his first connection to his last. Joins and leaves are told together: who came
and went in between is nobody's news.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Present:
    """A user, and how many connections he has."""

    user: str
    connections: int


@dataclass(frozen=True, slots=True)
class Changes:
    """Users who have come, and who have gone, since this was last asked."""

    joined: Sequence[str]
    left: Sequence[str]

    def __bool__(self) -> bool:
        return bool(self.joined or self.left)


class Presence:
    """The users of one channel. connections: of all of them."""

    __slots__ = ("_before", "_order", "_users", "connections")

    def __init__(self) -> None:
        self.connections = 0
        self._users: dict[str, int] = {}
        self._order: list[str] | None = None  # of users, when nobody has come or gone since
        self._before: dict[str, bool] = {}  # whether who came or went was there at the last `take`

    def __repr__(self) -> str:
        return f"<Presence users={len(self)} connections={self.connections}>"

    def __len__(self) -> int:
        return len(self._users)

    def __contains__(self, user: str) -> bool:
        return user in self._users

    def join(self, user: str) -> None:
        """A connection of a user subscribes."""
        self.hold(user, self._users.get(user, 0) + 1)

    def leave(self, user: str) -> None:
        """One of his connections does so no more. Raises KeyError if he has none."""
        self.hold(user, self._users[user] - 1)

    def hold(self, user: str, connections: int) -> None:
        """A user has so many connections now."""
        had = self._users.pop(user, 0)
        if connections:
            self._users[user] = connections
        self.connections += connections - had
        if bool(had) is not bool(connections):
            self._turn(user, there=bool(had))

    def take(self) -> Changes:
        """What has changed since this was last called."""
        before, self._before = self._before, {}
        joined = [user for user, there in before.items() if not there and user in self]
        left = [user for user, there in before.items() if there and user not in self]
        return Changes(joined, left)

    def page(self, after: str | None, limit: int) -> list[Present]:
        """The users after one, by name; the first ones with None."""
        if self._order is None:
            self._order = sorted(self._users)
        begin = 0 if after is None else bisect_right(self._order, after)
        return [Present(user, self._users[user]) for user in self._order[begin : begin + limit]]

    def _turn(self, user: str, *, there: bool) -> None:
        self._order = None
        self._before.setdefault(user, there)
