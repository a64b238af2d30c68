"""A replica against a model of the registry that loses messages, connections and its memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hypothesis import given
from hypothesis import strategies as st

from uaitools.registry.client.member import Member
from uaitools.registry.client.messages import Change, Listed, Put, Removed
from uaitools.registry.client.view import Replica, View
from uaitools.registry.evidence import State

SERVICE = "api"


def member(name: str, **fields: object) -> Member:
    port = 9001 + ord(name[0]) - ord("a")
    return replace(Member(name, SERVICE, "10.0.0.1", port), **fields)  # type: ignore[arg-type]


def listed(*members: Member, index: int = 1, epoch: str = "e", sure: bool = True) -> Listed:
    return Listed(SERVICE, index, epoch, sure, members)


def put(one: Member, index: int, epoch: str = "e") -> Put:
    return Put(SERVICE, index, epoch, one)


A, B = member("a"), member("b")


@dataclass
class Registry:
    """What a registry knows; `fresh` while it has begun anew and is not sure of an empty list."""

    epoch: int = 0
    index: int = 0
    fresh: bool = False
    members: dict[str, Member] = field(default_factory=dict)
    history: dict[tuple[str, int], dict[str, Member]] = field(default_factory=dict)

    def note(self) -> None:
        self.history[str(self.epoch), self.index] = dict(self.members)

    def change(self, name: str, state: State | None) -> Change:
        self.index += 1
        if state is None and name in self.members:
            del self.members[name]
            self.note()
            return Removed(SERVICE, self.index, str(self.epoch), name, "deregistered")
        self.members[name] = member(name, health=state or State.PASSING, generation=self.index)
        self.note()
        return Put(SERVICE, self.index, str(self.epoch), self.members[name])

    def restart(self) -> None:
        self.epoch, self.index, self.fresh, self.members = self.epoch + 1, 0, True, {}
        self.note()

    def list(self) -> Listed:
        self.note()
        members = tuple(reversed(self.members.values()))
        return Listed(SERVICE, self.index, str(self.epoch), not self.fresh, members)


CHANGES = st.tuples(st.sampled_from("abc"), st.sampled_from([None, *State]))
STEPS = st.one_of(
    CHANGES,
    st.tuples(st.just("lose"), CHANGES),
    *map(st.just, ["repeat", "connect", "connect", "disconnect", "restart", "sure"]),
)


class Meeting:
    """A registry, a replica, and what is between them."""

    def __init__(self) -> None:
        self.registry = Registry()
        self.replica = Replica(SERVICE)
        self.connected = False
        self.last: Change | None = None
        self.complete = True  # nothing was lost since the last list
        self.doubted = False  # the last list was not to be believed

    def step(self, step: object) -> None:
        match step:
            case "connect":
                self.connected = True
                self._list()
            case "disconnect":
                self.connected = False
                self.replica.disconnected()
            case "restart":
                self.registry.restart()
                self.connected = False
                self.replica.disconnected()
            case "sure":
                self.registry.fresh = False
            case "repeat":
                if self.connected and self.last is not None and self.complete:
                    self._deliver(self.last)
            case "lose", (str(name), state):
                self.registry.change(name, state)  # type: ignore[arg-type]
                self.complete = False
            case str(name), state:
                self.last = self.registry.change(name, state)  # type: ignore[arg-type]
                if self.connected:
                    self._deliver(self.last)

    def _deliver(self, change: Change) -> None:
        if not self.replica.changed(change):
            self._list()

    def _list(self) -> None:
        message = self.registry.list()
        known = self.replica.view
        other = known is not None and known.epoch != message.epoch
        self.doubted = not message.authoritative and (other or not message.members)
        self.complete = True
        self.replica.listed(message)


@given(st.lists(STEPS, max_size=60))
def test_what_is_known_is_what_the_registry_said_at_that_revision(steps: list[object]) -> None:
    meeting = Meeting()
    for step in steps:
        before = meeting.replica.view
        meeting.step(step)
        view, registry = meeting.replica.view, meeting.registry
        if view is None:
            continue
        found = {one.id: one for one in view.members}
        assert [one.id for one in view.members] == sorted(found)
        assert view.stale == (not meeting.replica.settled)
        if meeting.replica.settled:
            assert found == registry.history[view.epoch, view.index]
        if meeting.replica.settled and meeting.connected and meeting.complete:
            assert (found, view.index) == (registry.members, registry.index)
        if meeting.doubted and step == "connect" and before is not None:
            assert {one.id for one in before.members} <= found.keys()  # nobody goes on no good word
            assert view.stale or {one.id for one in before.members} <= registry.members.keys()
        if not meeting.connected and before is not None:
            assert view == replace(before, stale=True)


def test_nothing_is_known_before_the_first_list() -> None:
    replica = Replica(SERVICE)

    assert replica.changed(put(A, 5))
    assert replica.view is None


def test_what_is_on_disk_is_stale_until_a_list_comes() -> None:
    replica = Replica(SERVICE, View(SERVICE, (A,), 3, "e"))
    assert replica.view == View(SERVICE, (A,), 3, "e", stale=True)

    assert replica.changed(put(B, 4))  # it follows, but nobody has confirmed what it follows
    assert replica.view.members == (A,)

    replica.listed(listed(A, index=3))
    assert replica.view == View(SERVICE, (A,), 3, "e")
    replica.restore(View(SERVICE, (B,), 9, "e"))
    assert replica.view.members == (A,)


def test_a_first_list_that_is_empty_and_unsure_is_known_and_stale() -> None:
    replica = Replica(SERVICE)
    replica.listed(listed(index=0, sure=False))

    assert replica.view == View(SERVICE, (), 0, "e", stale=True)
    assert not replica.settled


def test_an_empty_list_is_believed_only_when_it_is_authoritative() -> None:
    replica = Replica(SERVICE, View(SERVICE, (A,), 3, "e"))
    replica.listed(listed(index=0, epoch="f", sure=False))
    assert replica.view == View(SERVICE, (A,), 0, "f", stale=True)

    assert replica.changed(put(B, 1, "f"))  # what follows is known beside what was
    assert replica.view == View(SERVICE, (A, B), 1, "f", stale=True)

    replica.listed(listed(index=2, epoch="f"))
    assert replica.view == View(SERVICE, (), 2, "f")


def test_who_is_kept_is_sure_again_once_all_have_come_back() -> None:
    replica = Replica(SERVICE, View(SERVICE, (A, B), 3, "e"))
    replica.listed(listed(index=0, epoch="f", sure=False))
    replica.changed(put(B, 1, "f"))
    assert replica.view is not None
    assert replica.view.stale
    replica.changed(put(A, 2, "f"))

    assert replica.view == View(SERVICE, (A, B), 2, "f")
    assert replica.settled


def test_a_list_of_those_who_have_come_back_first_removes_nobody() -> None:
    replica = Replica(SERVICE, View(SERVICE, (A, B), 3, "e"))
    back = replace(B, generation=2)
    for index in (1, 2):  # however often it is asked for
        replica.listed(listed(back, index=index, epoch="f", sure=False))
        assert replica.view == View(SERVICE, (A, back), index, "f", stale=True)
        assert not replica.settled

    replica.listed(listed(back, index=2, epoch="f"))
    assert replica.view == View(SERVICE, (back,), 2, "f")


def test_a_list_of_the_same_epoch_replaces_all_unless_it_is_empty() -> None:
    replica = Replica(SERVICE, View(SERVICE, (A, B), 3, "e"))
    replica.listed(listed(B, index=4, sure=False))

    assert replica.view == View(SERVICE, (B,), 4, "e")


def test_a_change_of_another_epoch_asks_for_the_list() -> None:
    replica = Replica(SERVICE)
    replica.listed(listed(A))

    assert not replica.changed(put(B, 2, epoch="f"))
    assert replica.changed(put(B, 3, epoch="f"))  # it has been asked for already
    assert replica.view == View(SERVICE, (A,), 1, "e")
