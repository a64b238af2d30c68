"""What a watcher knows of a service, and how the registry's messages change it. Pure.

The rules that keep it true:

    a list replaces all that was known, if it is authoritative
    one that is not removes nobody where it is empty or of another epoch: nobody can tell then who
    has gone and who has only been forgotten, and will register again in a minute
    a change counts only if it follows the last one, in the same epoch: else list again
    without a connection what was known stays, and is stale until the registry has confirmed it
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from uaitools.registry.client.member import Member
from uaitools.registry.client.messages import Change, Listed, Put


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

    view: None until anything is known. following: a list has come over this connection, and
    every change since. doubtful: the registry was not sure of its list, and has not spoken since of
    all who are kept.
    """

    __slots__ = ("_kept", "_service", "doubtful", "following", "view")

    def __init__(self, service: str, known: View | None = None) -> None:
        self._service = service
        self.view: View | None = None
        if known is not None:
            self.restore(known)
        self.following = False
        self.doubtful = False
        self._kept: set[str] = set()  # ids that only we know

    def restore(self, known: View) -> None:
        """Take what is on disk, if nothing better is known."""
        if self.view is None:
            self.view = replace(known, stale=True)

    def __repr__(self) -> str:
        state = "following" if self.following else "waiting"
        return f"<Replica {self._service} {state} {self.view!r}>"

    @property
    def settled(self) -> bool:
        """Nothing needs to be asked for again."""
        return self.following and not self.doubtful

    def listed(self, message: Listed) -> None:
        """A list has come."""
        listed = {member.id: member for member in message.members}
        known = {member.id: member for member in self.view.members} if self.view else {}
        if message.authoritative:
            self._kept = set()
        elif not listed or self.view is None or message.epoch != self.view.epoch:
            self._kept = known.keys() - listed.keys()
        else:
            self._kept -= listed.keys()
        self.following = True
        self.doubtful = bool(self._kept) or not (listed or message.authoritative)
        kept = {name: known[name] for name in self._kept}
        self._become({**kept, **listed}, message.index, message.epoch)

    def changed(self, message: Change) -> bool:
        """A change has come; False when it cannot be applied and a list is needed."""
        view = self.view
        if not self.following or view is None:
            return True  # of an earlier connection or watch: the list is on its way
        if message.epoch == view.epoch and message.index <= view.index:
            return True  # the list had it already
        if message.epoch != view.epoch or message.index != view.index + 1:
            self.following = False
            return False
        members = {member.id: member for member in view.members}
        if isinstance(message, Put):
            name = message.member.id
            members[name] = message.member
        else:
            name = message.id
            members.pop(name, None)
        self._kept.discard(name)
        self.doubtful = bool(self._kept)
        self._become(members, message.index, message.epoch)
        return True

    def disconnected(self) -> None:
        """The registry cannot be heard any more."""
        self.following = False
        if self.view is not None:
            self.view = replace(self.view, stale=True)

    def _become(self, members: dict[str, Member], index: int, epoch: str) -> None:
        ordered = tuple(members[name] for name in sorted(members))
        self.view = View(self._service, ordered, index, epoch, stale=self.doubtful)
