"""The fan-out: one write for all that came, and the loop for others in between."""

from __future__ import annotations

import asyncio
import time

from tests.hub.readers import Reader, channel, publish
from tests.peers.gateways import eventually
from uaitools.hub.channel import Channel, Subscription
from uaitools.hub.fanout import Fanout
from uaitools.hub.ring import PIECE
from uaitools.hub.slices import SLICE
from uaitools.tasks import spawn

SIZE = 8


def subscribed(one: Channel, *readers: Reader) -> list[Subscription]:
    return [one.subscribe(reader, None, None) for reader in readers]


async def test_what_comes_in_one_turn_is_written_in_one_piece_to_each() -> None:
    fanout, one, other = Fanout(), channel(size=SIZE), channel(size=SIZE)
    readers = [Reader(), Reader()]
    subscribed(one, *readers)
    subscribed(other, readers[0])
    for number in range(3):
        publish(one, number)
        fanout.tell(one)
    publish(other, 9)
    fanout.tell(other)
    assert [reader.got for reader in readers] == [[], []]

    await asyncio.sleep(0)
    assert [reader.got for reader in readers] == [[0, 1, 2, 9], [0, 1, 2]]
    assert [reader.writes for reader in readers] == [2, 1]


async def test_a_walk_over_many_lets_others_have_the_loop() -> None:
    class Slow(Reader):
        def deliver(self, data: bytes) -> None:
            time.sleep(0.0002)
            super().deliver(data)

    fanout, one = Fanout(), channel(size=SIZE)
    readers = [Slow() for _ in range(320)]
    subscribed(one, *readers)
    publish(one, 1)
    fanout.tell(one)
    turns = 0
    while not readers[-1].got:
        await asyncio.sleep(0)
        turns += 1
        if turns == 2:  # who has been written to gets this later, the others with the first
            publish(one, 2)
            fanout.tell(one)

    assert turns >= 5
    await eventually(lambda: all(reader.got == [1, 2] for reader in readers))
    assert {reader.writes for reader in readers} == {1, 2}


async def test_those_who_are_far_behind_let_others_have_the_loop_after_each_piece() -> None:
    class Slow(Reader):
        def deliver(self, data: bytes) -> None:
            time.sleep(SLICE / 2)
            super().deliver(data)

    fanout, one = Fanout(), channel(size=SIZE)
    publish(one, *("x" * (PIECE - 10) for _ in range(3)))
    readers = [Slow() for _ in range(20)]
    fanout.resume([one.subscribe(reader, None, 0) for reader in readers])
    await asyncio.sleep(0)

    assert 1 <= sum(reader.writes for reader in readers) <= 3
    await eventually(lambda: all(len(reader.got) == 3 for reader in readers))


async def test_who_leaves_while_others_are_written_to_gets_nothing() -> None:
    fanout, one = Fanout(), channel(size=SIZE)
    first, second = Reader(), Reader()
    subscriptions = subscribed(one, first, second)
    first.on_delivery = lambda: one.unsubscribe(subscriptions[1])
    publish(one, 1)
    fanout.tell(one)
    await asyncio.sleep(0)

    assert (first.got, second.got) == ([1], [])


async def test_who_reads_again_gets_what_he_missed_in_pieces_and_holds_nobody_up() -> None:
    fanout, one = Fanout(), channel(size=SIZE)
    slow, other = Reader(), Reader()
    subscriptions = subscribed(one, slow, other)
    slow.paused = True
    text = "x" * (PIECE // 2 - 10)
    for _ in range(5):
        publish(one, text)
        fanout.tell(one)
        await asyncio.sleep(0)
    assert (len(slow.got), len(other.got)) == (0, 5)
    slow.paused = False
    fanout.resume(subscriptions)
    publish(one, 6)
    fanout.tell(one)
    await eventually(lambda: len(slow.got) == 6)

    assert slow.writes == 3
    assert other.got[-1] == 6


async def test_who_publishes_faster_than_it_can_be_told_waits() -> None:
    fanout, one, reader = Fanout(), channel(size=SIZE), Reader()
    subscribed(one, reader)

    async def publisher() -> None:
        for number in range(10 * SIZE):
            await fanout.room(one)
            publish(one, number)
            fanout.tell(one)

    await asyncio.gather(*(spawn(publisher(), name="publisher") for _ in range(2)))
    await eventually(lambda: len(reader.got) == 20 * SIZE)

    assert not [message for message in reader.got if isinstance(message, tuple)]  # no gap


async def test_a_fanout_that_stops_writes_nothing_more_and_keeps_nobody_waiting() -> None:
    fanout, one, reader = Fanout(), channel(size=2), Reader()
    subscribed(one, reader)
    publish(one, 1)
    fanout.tell(one)
    waiting = spawn(fanout.room(one), name="publisher")
    await asyncio.sleep(0)
    publish(one, 2)
    fanout.tell(one)
    fanout.stop()
    await asyncio.wait_for(waiting, 1)
    await asyncio.sleep(0)

    assert reader.got == [1]
