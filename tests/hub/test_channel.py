"""Channels: who gets which messages, slow or not, filtered or not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hub.readers import Reader, channel, publish
from uaitools.hub.channel import Channel, ChannelPolicy, Policy, Subscription
from uaitools.hub.closing import SLOW
from uaitools.hub.deflate import deflated
from uaitools.hub.filters import Filter, compile_filter
from uaitools.hub.message import Message, frame_message, read_data
from uaitools.hub.ring import Ring

SIZE = 6


def deliver(*subscriptions: Subscription) -> None:
    for one in subscriptions:
        while not one.channel.catch_up(one):
            pass


def test_who_subscribes_gets_what_comes_then_or_what_came_after_an_offset() -> None:
    one, new, returning = channel(size=SIZE), Reader(), Reader()
    publish(one, 1, 2, 3)
    subscriptions = one.subscribe(new, None, None), one.subscribe(returning, None, 1)
    publish(one, 4)
    deliver(*subscriptions)

    assert (new.got, returning.got) == ([4], [2, 3, 4])
    assert [subscription.lag for subscription in subscriptions] == [0, 0]


def test_who_has_left_gets_nothing_more() -> None:
    one, reader = channel(size=SIZE), Reader()
    subscription = one.subscribe(reader, compile_filter({"eq": ["a", 1]}), None)
    one.unsubscribe(subscription)
    one.unsubscribe(subscription)

    assert (len(one), list(one)) == (0, [])


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (Policy.RESUME, [1, 2, 3, 4, 5, 6]),
        (Policy.DISCONNECT, [1, 2, 3, 4, 5, 6]),
        (Policy.DROP_OLD, [1, ("c", 2, 2), 3, 4, 5, 6]),
        (Policy.LATEST, [1, ("c", 2, 4), 5, 6]),
        (Policy.DROP_NEW, [1, ("c", 2, 5), 6]),
    ],
)
def test_who_was_slow_gets_what_the_policy_says_and_then_everything(
    policy: Policy, expected: list[Any]
) -> None:
    one, reader = channel(policy, size=SIZE), Reader()
    subscription = one.subscribe(reader, None, None)
    publish(one, 1)
    deliver(subscription)
    reader.paused = True
    for number in (2, 3, 4, 5):
        publish(one, number)
        deliver(subscription)
    assert reader.got == [1]
    assert subscription.lag == 4
    reader.paused = False
    deliver(subscription)
    publish(one, 6)
    deliver(subscription)

    assert reader.got == expected
    assert reader.ended is None


def test_what_is_not_kept_any_more_is_a_gap_or_the_end() -> None:
    readers = {policy: Reader() for policy in Policy}
    for policy, reader in readers.items():
        one = channel(policy, size=SIZE)
        subscription = one.subscribe(reader, None, None)
        reader.paused = True
        for number in range(1, SIZE + 2):
            publish(one, number)
            deliver(subscription)
        reader.paused = False
        deliver(subscription)

    assert readers[Policy.DISCONNECT].ended is SLOW
    assert readers[Policy.RESUME].got == [("c", 1, 1), 2, 3, 4, 5, 6, 7]
    assert readers[Policy.DROP_OLD].got == [("c", 1, 4), 5, 6, 7]
    assert readers[Policy.LATEST].got == [("c", 1, 6), 7]
    assert readers[Policy.DROP_NEW].got == [("c", 1, 7)]


def test_a_filter_is_asked_once_a_message_for_all_who_have_it() -> None:
    one, readers = channel(size=SIZE), [Reader(), Reader(), Reader()]
    wanted = compile_filter({"gt": ["n", 1]})
    publish(one, {"n": 0}, {"n": 5})
    subscriptions = [
        one.subscribe(readers[0], wanted, None),
        one.subscribe(readers[1], compile_filter({"gt": ["n", 1]}), 0),
        one.subscribe(readers[2], None, 0),
    ]
    assert subscriptions[0].group is subscriptions[1].group
    publish(one, {"n": 1}, {"n": 2})
    deliver(*subscriptions)

    assert [[message["n"] for message in reader.got] for reader in readers] == [
        [2],
        [5, 2],
        [0, 5, 1, 2],
    ]
    assert [subscription.lag for subscription in subscriptions] == [0, 0, 0]


class Taker(Reader):
    """Keeps the bytes themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[bytes] = []

    def deliver(self, data: bytes) -> None:
        self.taken.append(data)


def test_a_message_is_compressed_once_for_all_who_read_it_so_and_not_for_others() -> None:
    one = Channel("c", ChannelPolicy(), Ring("e"), read_data)
    small, plain = [Taker() for _ in range(4)], [Taker(), Taker()]
    wanted = compile_filter({"eq": ["n", 1]})
    subscriptions = [
        *(one.subscribe(sink, None, None, deflate=True) for sink in small[:2]),
        one.subscribe(plain[0], None, None),
        *(one.subscribe(sink, wanted, None, deflate=True) for sink in small[2:]),
        one.subscribe(plain[1], wanted, None),
    ]
    assert subscriptions[3].group is subscriptions[5].group  # it is judged once for both
    frames = [
        frame_message("c", n, Message("t", b'{"n":1,"text":"%b"}' % (b"again " * n), 0.0))
        for n in (30, 31, 32)
    ]
    one.append(frames[0], {"n": 1}, 0.0)
    deliver(*subscriptions)
    compressed = small[0].taken[0]
    assert compressed == deflated(frames[0]) != frames[0]
    assert all(sink.taken[0] is compressed for sink in small)
    assert all(sink.taken[0] is frames[0] for sink in plain)

    one.append(frames[1], {"n": 1}, 0.0)
    one.append(frames[2], {"n": 2}, 0.0)
    deliver(*subscriptions)
    assert small[0].taken[1] == deflated(frames[1]) + deflated(frames[2])
    assert small[1].taken[1] is small[0].taken[1]  # joined once, too
    assert small[2].taken[1] == small[3].taken[1] == deflated(frames[1])
    assert [sink.taken[1] for sink in plain] == [frames[1] + frames[2], frames[1]]


def test_nothing_is_compressed_where_nobody_reads_it_so() -> None:
    one, reader = channel(size=SIZE), Reader()
    subscription = one.subscribe(reader, None, None)
    publish(one, "again " * 30)
    deliver(subscription)

    assert one.ring.bytes == len(one.ring.after(0)[0])


steps = st.lists(
    st.one_of(
        st.integers(0, 3).map(lambda value: ("publish", value)),
        st.sampled_from([("pause", 0), ("read", 0)]),
    ),
    max_size=60,
)


@given(steps, st.sampled_from(Policy), st.sampled_from([None, {"gt": ["n", 1]}]))
def test_each_message_comes_once_and_in_order_or_is_in_a_gap(
    steps: list[tuple[str, int]], policy: Policy, wanted: object
) -> None:
    one, reader = channel(policy, size=SIZE), Reader()
    subscription = one.subscribe(reader, compile_filter(wanted) if wanted else None, None)
    sent: list[int] = []
    for step, value in [*steps, ("read", 0)]:
        if step == "publish":
            sent.append(value)
            publish(one, {"n": value, "offset": len(sent)})
        else:
            reader.paused = step == "pause"
        deliver(subscription)
        if reader.ended is not None:
            assert policy is Policy.DISCONNECT
            return

    told = 0  # up to where it is known what became of each message
    for item in reader.got:
        first, last = item[1:] if isinstance(item, tuple) else (item["offset"],) * 2
        left_out = sent[told : first - 1]
        assert all(value <= 1 for value in left_out) if wanted else not left_out
        assert told < first <= last
        told = last
    assert all(value <= 1 for value in sent[told:]) if wanted else told == len(sent)
    assert subscription.lag == 0


def test_who_begins_anew_gets_whatever_has_the_offsets_that_he_was_to_miss() -> None:
    one, reader = channel(size=8), Reader()
    subscription = one.subscribe(reader, None, None)
    reader.paused = True
    publish(one, *range(5))
    for offset in (1, 2, 3, 4, 5):
        subscription.omit(offset)
    one.restart(Ring("another", size=8))
    one.catch_up(subscription)
    reader.paused = False
    one.catch_up(subscription)
    publish(one, *range(5))
    one.catch_up(subscription)
    assert reader.got == [("c", "another", 0), *range(5)]


def test_a_filter_knows_what_was_there_before_it_when_somebody_asks_for_it() -> None:
    one, newest, earlier = channel(size=8), Reader(), Reader()
    publish(one, *({"n": number} for number in range(4)))
    wanted = compile_filter({"gt": ["n", 1]})
    later = one.subscribe(newest, wanted, None)
    publish(one, {"n": 0}, {"n": 9})
    first = one.subscribe(earlier, wanted, 0)
    for subscription in (later, first):
        while not one.catch_up(subscription):
            pass
    assert [found["n"] for found in newest.got] == [9]
    assert [found["n"] for found in earlier.got] == [2, 3, 9]


def test_a_filter_is_asked_when_its_first_subscriber_is_written_to_and_not_before() -> None:
    one, reader = channel(size=SIZE), Reader()
    asked: list[int] = []

    def above_one(data: Any) -> bool:
        asked.append(data["n"])
        return bool(data["n"] > 1)

    wanted = Filter(b"own", above_one)
    subscription = one.subscribe(reader, wanted, None)
    publish(one, {"n": 1}, {"n": 2})
    assert asked == []
    deliver(subscription)
    assert (asked, [message["n"] for message in reader.got]) == ([1, 2], [2])

    one.told()
    publish(one, {"n": 3})
    deliver(subscription, subscription)
    assert (asked, [message["n"] for message in reader.got]) == ([1, 2, 3], [2, 3])


def test_what_was_pushed_out_before_it_was_asked_for_is_not_asked_any_more() -> None:
    one, reader = channel(size=SIZE), Reader()
    asked: list[int] = []

    def everything(data: Any) -> bool:
        asked.append(data["n"])
        return True

    wanted = Filter(b"own", everything)
    subscription = one.subscribe(reader, wanted, None)
    publish(one, *({"n": number} for number in range(1, SIZE + 4)))
    deliver(subscription)

    assert asked == list(range(4, SIZE + 4))
    assert reader.got[0] == ("c", 1, 3)
