"""What a subscription gives and asks, over two connections that say the same channel."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from uaitools.hub.client.events import Gap, Message, Reset
from uaitools.hub.client.messages import Delivered
from uaitools.hub.client.track import Track
from uaitools.hub.place import Place


def said(offset: int) -> Delivered:
    return Delivered("c", offset, "message", "", offset, None, None)


def following(offset: int = 5, epoch: str = "e") -> Track:
    track = Track("c")
    track.ask(1)
    track.subscribed(1, Place(epoch, offset), recovered=False)
    return track


def test_the_first_answer_says_where_it_is() -> None:
    track = Track("c")
    assert track.ask(1) is None
    assert track.message(1, said(3)) is None  # of a subscription that everybody has
    assert track.subscribed(1, Place("e", 5), recovered=False) is None
    assert track.place == Place("e", 5)
    assert track.message(1, said(6)) == Message("c", "e", 6, "message", "", 6)


def test_what_was_given_is_asked_from_and_not_given_again() -> None:
    track = following(5)
    track.message(1, said(7))
    track.lost(1)
    assert track.ask(2) == Place("e", 7)
    assert track.subscribed(2, Place("e", 7), recovered=True) is None
    assert track.message(2, said(7)) is None
    assert track.message(2, said(8)) is not None


def test_what_could_not_be_recovered_is_a_gap_in_the_same_epoch() -> None:
    track = following(5)
    track.ask(2)
    assert track.subscribed(2, Place("e", 9), recovered=False) == Gap("c", "e", 6, 9)
    assert track.message(2, said(9)) is None


def test_what_could_not_be_recovered_is_a_reset_in_another_epoch() -> None:
    track = following(5)
    track.ask(2)
    assert track.subscribed(2, Place("f", 2), recovered=False) == Reset("c", "f", 2)
    assert track.message(2, said(3)) == Message("c", "f", 3, "message", "", 3)


def test_a_place_that_the_hub_never_had_is_a_reset() -> None:
    track = Track("c", Place("e", 100))
    track.ask(1)
    assert track.subscribed(1, Place("e", 4), recovered=False) == Reset("c", "e", 4)


def test_a_gap_tells_only_what_is_news() -> None:
    track = following(5)
    assert track.gap(1, 3, 5) is None
    assert track.gap(1, 3, 8) == Gap("c", "e", 6, 8)
    assert track.message(1, said(8)) is None


def test_the_old_connection_counts_until_the_new_one_has_answered() -> None:
    track = following(5)
    assert track.ask(2) == Place("e", 5)
    assert track.message(1, said(6)) is not None
    assert track.message(2, said(6)) is None
    assert track.subscribed(2, Place("e", 5), recovered=True) is None
    assert track.message(1, said(7)) is None
    assert track.message(2, said(6)) is None
    assert track.message(2, said(7)) is not None


def test_an_older_connection_never_takes_over_again() -> None:
    track = following(5)
    track.ask(2)
    track.ask(3)
    track.subscribed(3, Place("e", 5), recovered=True)
    track.subscribed(2, Place("e", 5), recovered=True)
    assert track.follows(3)


def test_an_answer_to_what_is_no_longer_asked_is_asked_again() -> None:
    track = following(5)
    track.ask(2)
    track.reset(1, Place("f", 3))
    assert track.subscribed(2, Place("e", 5), recovered=True) is None
    assert not track.follows(2)
    assert track.ask(2) == Place("f", 3)
    track = Track("c")
    track.ask(1)
    track.ask(2)
    track.subscribed(1, Place("e", 5), recovered=False)
    track.message(1, said(6))
    assert track.subscribed(2, Place("e", 9), recovered=False) is None
    assert not track.follows(2)


@dataclass
class Node:
    """A node's side of one connection: what it has said."""

    number: int
    at: int | None = None  # None until it is subscribed


def given_offsets(event: object) -> list[int]:
    """The offsets that an event tells of."""
    match event:
        case Message(offset=offset):
            return [offset]
        case Gap(first=first, last=last):
            return list(range(first, last + 1))
    assert event is None
    return []


class Story:
    """Messages are published and said by the nodes, which keep so many of them."""

    def __init__(self, keeps: int) -> None:
        self.track = Track("c", Place("e", 0))
        self.keeps = keeps
        self.head = 0
        self.told: list[int] = []

    def answer(self, node: Node, asked: Place) -> None:
        whole = self.head - asked.offset <= self.keeps
        node.at = asked.offset if whole else self.head
        event = self.track.subscribed(node.number, Place("e", node.at), recovered=whole)
        self.told += given_offsets(event)

    def say(self, node: Node) -> None:
        if node.at is None or node.at == self.head:
            return
        lost = self.head - node.at - self.keeps
        if lost > 0:
            self.told += given_offsets(self.track.gap(node.number, node.at + 1, node.at + lost))
            node.at += lost
        node.at += 1
        self.told += given_offsets(self.track.message(node.number, said(node.at)))


@given(st.data(), st.integers(1, 12))
def test_every_offset_is_given_once_or_said_to_be_missing(data: st.DataObject, keeps: int) -> None:
    """Connections come and go, and two of them overlap, at random."""
    story, nodes = Story(keeps), list[Node]()
    for number in range(1, data.draw(st.integers(2, 6)) + 1):
        nodes.append(newest := Node(number))
        asked = story.track.ask(number)
        assert asked is not None
        for step in data.draw(st.lists(st.sampled_from(("publish", "answer", "say")))):
            if step == "publish":
                story.head += 1
            elif step == "say":
                story.say(data.draw(st.sampled_from(nodes)))
            elif newest.at is None:
                story.answer(newest, asked)
        if data.draw(st.booleans()) and len(nodes) > 1:
            story.track.lost(nodes.pop(0).number)
    last = story.track.place
    assert last is not None
    assert story.told == list(range(1, last.offset + 1))
