"""Whatever is lost, late or twice on its way, the inbox is told every offset once, in order."""

from __future__ import annotations

from collections import deque

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.hub.broker.inboxes import Remembering, Told
from uaitools.hub.broker.port import Backlog
from uaitools.hub.broker.sequence import EARLY, Sequence, Stored
from uaitools.hub.message import Message
from uaitools.hub.place import Place


def message(text: str) -> Message:
    return Message("message", text.encode(), 0.0)


class Ways(RuleBasedStateMachine):
    """A server that keeps three messages, a subscription that breaks, answers that come late."""

    def __init__(self) -> None:
        super().__init__()
        self.inbox = Remembering()
        self.sequence = Sequence("c", self.inbox)
        self.epoch, self.head = 0, 0
        self.everything: dict[tuple[str, int], Message] = {}
        self.kept: dict[int, Message] = {}
        self.subscribed = True
        self.published: deque[tuple[Place, Message]] = deque()
        self.answers: list[tuple[Place, Message]] = []
        self.read: Stored | None = None
        self.asked = False
        self.after: Place | None = None

    @rule(mine=st.booleans(), size=st.integers(0, 3))
    def publish(self, mine: bool, size: int) -> None:
        self.head += 1
        place = Place(str(self.epoch), self.head)
        one = message(str(place))
        self.everything[place.epoch, place.offset] = one
        self.kept[self.head] = one
        while len(self.kept) > size:
            del self.kept[min(self.kept)]
        if self.subscribed:
            self.published.append((place, one))
        if mine:
            self.answers.append((place, one))

    @precondition(lambda self: self.subscribed and self.published)
    @rule()
    def hear(self) -> None:
        self.sequence.take(*self.published.popleft(), answer=False)

    @precondition(lambda self: self.answers)
    @rule(data=st.data())
    def get_an_answer(self, data: st.DataObject) -> None:
        at = data.draw(st.integers(0, len(self.answers) - 1))
        self.sequence.take(*self.answers.pop(at), answer=True)

    @rule(drop=st.booleans())
    def break_off(self, drop: bool) -> None:
        """Connected again at once, or not; what was on its way is gone."""
        self.published.clear()
        self.subscribed = not drop
        if self.subscribed:
            self.sequence.lose()

    @rule()
    def restart(self) -> None:
        self.epoch, self.head = self.epoch + 1, 0
        self.kept.clear()
        self.published.clear()
        self.subscribed = False

    @precondition(lambda self: self.subscribed and self.sequence.behind and not self.asked)
    @rule()
    def ask(self) -> None:
        self.after = self.sequence.ask()
        self.asked = True

    @precondition(lambda self: self.asked and self.read is None)
    @rule()
    def look(self) -> None:
        epoch = str(self.epoch)
        after = self.after.offset if self.after is not None and self.after.epoch == epoch else 0
        there = {offset: one for offset, one in self.kept.items() if offset > after}
        self.read = Stored(epoch, self.head, there)

    @precondition(lambda self: self.read is not None)
    @rule()
    def give(self) -> None:
        stored, self.read, self.asked = self.read, None, False
        assert stored is not None
        if self.sequence.place is None:
            self.told = self.inbox.begin("c", self.sequence.begin(stored))
        else:
            self.sequence.give(stored)

    @invariant()
    def an_offset_is_one_message(self) -> None:
        if self.sequence.place is not None:
            assert all(self.everything[place] == one for place, one in self.told.messages.items())
            assert self.sequence.place == Place(self.told.epoch, self.told.head)

    def teardown(self) -> None:
        if not self.subscribed:
            self.subscribed = True
            self.sequence.lose()
        for _ in range(10):
            while self.published:
                self.hear()
            if self.asked or self.sequence.behind:
                if not self.asked:
                    self.ask()
                if self.read is None:
                    self.look()
                self.give()
        assert not self.sequence.behind
        assert (self.told.epoch, self.told.head) == (str(self.epoch), self.head)
        for offset, one in self.kept.items():
            told = self.told.messages.get((self.told.epoch, offset))
            assert told == one or self.told.skips
        assert self.sequence.skipped == sum(self.told.skips)


TestWays = Ways.TestCase
TestWays.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)


def begun() -> tuple[Sequence, Told]:
    inbox = Remembering()
    sequence = Sequence("c", inbox)
    sequence.ask()
    return sequence, inbox.begin("c", sequence.begin(Stored("e", 0, {})))


def test_an_answer_that_is_ahead_waits_for_what_is_on_its_way() -> None:
    sequence, told = begun()
    sequence.take(Place("e", 2), message("b"), answer=True)
    assert (told.head, sequence.behind) == (0, False)
    sequence.take(Place("e", 1), message("a"), answer=False)
    assert told.head == 2
    sequence.take(Place("e", 2), message("b"), answer=False)
    assert (told.head, sequence.behind, sequence.filled) == (2, False, 0)


def test_what_pub_sub_has_left_out_is_read_and_what_is_gone_is_skipped() -> None:
    sequence, told = begun()
    sequence.take(Place("e", 5), message("e"), answer=False)
    assert sequence.behind
    assert sequence.ask() == Place("e", 0)
    sequence.give(Stored("e", 6, {4: message("d"), 5: message("e"), 6: message("f")}))
    assert (told.head, told.skips, sequence.filled) == (6, [3], 3)
    assert not sequence.behind


def test_what_waits_is_bounded_and_what_did_not_fit_is_read() -> None:
    sequence, told = begun()
    for offset in range(2, EARLY + 4):
        sequence.take(Place("e", offset), message(str(offset)), answer=False)
    sequence.ask()
    sequence.take(Place("e", EARLY + 4), message("last"), answer=False)
    sequence.give(Stored("e", 1, {1: message("1")}))
    assert told.head == EARLY + 1
    assert sequence.behind


def test_a_backlog_goes_back_to_the_first_hole() -> None:
    stored = Stored("e", 9, {5: message("5"), 7: message("7"), 8: message("8"), 9: message("9")})
    assert (stored.backlog.base, len(stored.backlog.messages)) == (6, 3)
    assert Stored("e", 9, {5: message("5")}).backlog == Backlog("e", 9, [])


def test_what_waited_is_nothing_in_another_epoch() -> None:
    sequence, told = begun()
    sequence.take(Place("e", 3), message("of e"), answer=True)
    sequence.take(Place("f", 2), message("of f"), answer=False)
    sequence.ask()
    sequence.give(Stored("f", 2, {2: message("of f")}))
    sequence.take(Place("f", 3), message("of f"), answer=False)
    assert (told.epoch, told.head) == ("f", 3)
    assert told.datas == [b"of f", b"of f"]


def test_a_hole_that_is_still_there_after_reading_is_read_again() -> None:
    sequence, told = begun()
    sequence.lose()
    sequence.ask()
    sequence.take(Place("e", 3), message("c"), answer=False)
    sequence.give(Stored("e", 1, {1: message("a")}))
    assert (told.head, sequence.behind) == (1, True)
    sequence.ask()
    sequence.give(Stored("e", 3, {2: message("b"), 3: message("c")}))
    assert (told.datas, sequence.behind) == ([b"a", b"b", b"c"], False)
