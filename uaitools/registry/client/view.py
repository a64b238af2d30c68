"""What a watcher knows of a service, and how the registry's messages change it. Pure.

The rules that keep it true:

    a list replaces all that was known, if it is authoritative
    one that is not removes nobody where it is empty or of another epoch: nobody can tell then who
    has gone and who has only been forgotten, and will register again in a minute
    a change counts only if it follows the last one, in the same epoch: else list again
    without a connection what was known stays, and is stale until the registry has confirmed it
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from uaitools.registry.client.member import Member
from uaitools.registry.client.messages import Change, Listed, Put, Removed

_LEFT: Final = "deregistered"  # why an instance is gone of which that is sure
_NOT_MADE: Final[tuple[Member, ...]] = (Member("", "", "", 0),)


@dataclass(frozen=True, slots=True)
class View:
    """What is known of a service.

    members: in the order of their ids, whatever their health. index, epoch: up to where it goes.
    stale: it comes from disk, the registry cannot be reached now, or has itself forgotten.
    """

    service: str
    members: tuple[Member, ...]
    index: int
    epoch: str
    stale: bool = False

    def __repr__(self) -> str:
        stale = " stale" if self.stale else ""
        return f"<View {self.service}{stale} members={len(self.members)} index={self.index}>"


class Replica:
    """A watcher's copy of a service's list.

    following: a list has come over this connection, and every change since. doubtful: the registry
    was not sure of its list, and has not spoken since of all who are kept.
    """

    __slots__ = ("_kept", "_members", "_view", "doubtful", "following")

    def __init__(self, service: str, known: View | None = None) -> None:
        self._view = View(service, (), 0, "", stale=True)
        self._members: dict[str, Member] | None = None  # None until anything is known
        self._kept: set[str] = set()  # ids that only we know
        self.following = False
        self.doubtful = False
        if known is not None:
            self.restore(known)

    def __repr__(self) -> str:
        state = "following" if self.following else "waiting"
        return f"<Replica {state} {self.view!r}>"

    @property
    def view(self) -> View | None:
        """What is known; None until anything is."""
        if self._members is None:
            return None
        if self._view.members is _NOT_MADE:
            members = tuple(self._members[name] for name in sorted(self._members))
            self._view = replace(self._view, members=members)
        return self._view

    @property
    def settled(self) -> bool:
        """Nothing needs to be asked for again."""
        return self.following and not self.doubtful

    def restore(self, known: View) -> None:
        """Take what is on disk, if nothing better is known."""
        if self._members is None:
            self._members = {member.id: member for member in known.members}
            self._view = replace(known, stale=True)

    def listed(self, message: Listed) -> None:
        """A list has come."""
        listed = {member.id: member for member in message.members}
        known = self._members or {}
        if message.authoritative:
            self._kept = set()
        elif not listed or self._members is None or message.epoch != self._view.epoch:
            self._kept = known.keys() - listed.keys()
        else:
            self._kept -= listed.keys()
        self.following = True
        self._yield_to(message.members, known)
        self.doubtful = bool(self._kept) or not (listed or message.authoritative)
        self._members = {**{name: known[name] for name in self._kept}, **listed}
        self._become(message.index, message.epoch)

    def changed(self, message: Change) -> bool:
        """A change has come; False when it cannot be applied and a list is needed."""
        view, members = self._view, self._members
        if not self.following or members is None:
            return True  # of an earlier connection or watch: the list is on its way
        if message.epoch == view.epoch and message.index <= view.index:
            return True  # the list had it already
        if message.epoch != view.epoch or message.index != view.index + 1:
            self.following = False
            return False
        if isinstance(message, Put):
            name = message.member.id
            members[name] = message.member
            for gone in self._yield_to([message.member], members):
                del members[gone]
        else:
            name = message.id
            members.pop(name, None)
        self._kept.discard(name)
        expired = isinstance(message, Removed) and message.cause != _LEFT
        self.doubtful = bool(self._kept) or (expired and not members)
        self._become(message.index, message.epoch)
        return True

    def _yield_to(self, listed: Iterable[Member], known: Mapping[str, Member]) -> list[str]:
        """Keep nobody at a place where somebody else is now: it is he who says how that is."""
        places = {(member.address, member.port): member.id for member in listed}
        gone = [
            name
            for name in self._kept
            if places.get((known[name].address, known[name].port), name) != name
        ]
        self._kept.difference_update(gone)
        return gone

    def disconnected(self) -> None:
        """The registry cannot be heard any more."""
        self.following = False
        if self._members is not None:
            self._view = replace(self._view, stale=True)

    def _become(self, index: int, epoch: str) -> None:
        # Made when somebody looks: of a hundred changes that came together, once.
        self._view = View(self._view.service, _NOT_MADE, index, epoch, stale=self.doubtful)
