"""Nodes that share a Redis, which is frozen, killed, cut off, and empty or old when it is back."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import count
from typing import Final, Literal

import pytest

from tests.hub.broker.conformance import POLICY, message
from tests.hub.broker.inboxes import Remembering, Told
from tests.peers.gateways import eventually, settled
from tests.peers.redis import RedisServer
from tests.peers.relay import Relay, relay
from uaitools.hub.broker.publications import BYTES, WAITING
from uaitools.hub.broker.redis import RedisBroker
from uaitools.hub.broker.script import NODES, PREFIX, PUBLISH, key_of
from uaitools.hub.channel import ChannelPolicy
from uaitools.hub.errors import Unavailable
from uaitools.hub.place import Place
from uaitools.redis_link import Link
from uaitools.tasks import spawn

KEY: Final = key_of("c")


@dataclass
class Node:
    broker: RedisBroker
    inbox: Remembering

    async def follow(self, channel: str = "c", policy: ChannelPolicy = POLICY) -> Told:
        return self.inbox.begin(channel, await self.broker.follow(channel, policy))

    async def publish(self, data: bytes, channel: str = "c") -> Place:
        return await self.broker.publish(channel, POLICY, message(data))


@asynccontextmanager
async def nodes(
    redis: RedisServer | Relay, number: int, away: Literal["refuse", "hold"] = "refuse"
) -> AsyncIterator[list[Node]]:
    async with AsyncExitStack() as stack:
        several = []
        for _ in range(number):
            node = Node(RedisBroker(f"redis://127.0.0.1:{redis.port}/0", away=away), Remembering())
            await node.broker.start(node.inbox)
            stack.push_async_callback(node.broker.stop)
            several.append(node)
        yield several


async def number(redis: RedisServer, *words: str) -> int:
    return int((await redis.command(*words)).strip(b":\r\n"))


def same(*told: Told) -> bool:
    return len({(one.epoch, one.head) for one in told}) == 1


def agree(*told: Told) -> None:
    """No offset of an epoch was two messages."""
    everything = dict(told[0].messages)
    for one in told[1:]:
        for place, known in one.messages.items():
            assert everything.setdefault(place, known) == known


# -- several nodes --------------------------------------------------------------------------


async def test_nodes_that_publish_at_once_keep_one_order(redis: RedisServer) -> None:
    async with nodes(redis, 3) as several:
        told = [await node.follow() for node in several]

        async def speak(node: Node, name: int) -> list[Place]:
            places = []
            for line in range(60):
                places.append(await node.publish(b"%d.%d" % (name, line)))
                assert node.inbox.channels["c"].head >= places[-1].offset
            return places

        spoken = await asyncio.gather(*(speak(several[name % 3], name) for name in range(6)))
        await eventually(lambda: all(one.head == 360 for one in told))
        assert told[0].messages == told[1].messages == told[2].messages
        for name, places in enumerate(spoken):
            assert [told[0].messages[p.epoch, p.offset].data for p in places] == [
                b"%d.%d" % (name, line) for line in range(60)
            ]
        assert sum(node.broker.filled + node.broker.skipped for node in several) == 0
        assert sum(node.broker.published for node in several) == 360


async def test_who_comes_later_has_what_is_kept(redis: RedisServer) -> None:
    async with nodes(redis, 2) as (one, other):
        policy = ChannelPolicy(size=3)
        for data in (b"1", b"2", b"3", b"4", b"5"):
            await one.broker.publish("c", policy, message(data))
        backlog = await other.broker.follow("c", policy)
        assert (backlog.base, [m.data for m in backlog.messages]) == (2, [b"3", b"4", b"5"])


async def test_what_is_too_old_is_not_given_any_more(redis: RedisServer) -> None:
    async with nodes(redis, 1) as (one,):
        policy = ChannelPolicy(age=0.2)
        first = await one.broker.publish("c", policy, message(b"old"))
        await asyncio.sleep(0.3)
        await one.broker.publish("c", policy, message(b"new"))
        backlog = await one.broker.follow("c", policy)
        assert (backlog.epoch, backlog.base) == (first.epoch, 1)
        assert [m.data for m in backlog.messages] == [b"new"]


async def test_a_backlog_and_what_follows_it_have_no_seam(redis: RedisServer) -> None:
    async with nodes(redis, 2) as (one, other):
        done = False

        async def speak() -> None:
            for line in count():
                if done:
                    return
                await one.publish(b"%d" % line)

        speaking = spawn(speak(), name="speaks")
        for _ in range(30):
            told = await other.follow()
            head = told.head
            await eventually(lambda: told.head > head + 3)  # noqa: B023 - it is awaited here
            lines = [int(data) for data in told.datas]
            assert lines == list(range(lines[0], lines[0] + len(lines)))
            other.broker.unfollow("c")
        done = True
        await speaking
        assert other.broker.skipped == 0


async def test_orders_are_heard_by_all_others(redis: RedisServer) -> None:
    async with nodes(redis, 3) as (one, other, third):
        await one.follow()
        await other.follow()
        await third.follow()
        await one.broker.order({"disconnect": "ann"})
        await other.broker.order({"disconnect": "bob"})
        await eventually(lambda: len(third.inbox.orders) == 2)
        await eventually(lambda: one.inbox.orders == [{"disconnect": "bob"}])
        assert other.inbox.orders == [{"disconnect": "ann"}]


async def test_an_order_whose_answer_was_lost_is_heard_once(redis: RedisServer) -> None:
    async with relay(redis.port) as way, nodes(redis, 1) as (one,), nodes(way, 1) as (other,):
        await one.follow()
        await other.follow()
        way.mute = True
        ordering = spawn(other.broker.order({"n": 1}), name="orders")
        await eventually(lambda: one.inbox.orders)
        way.cut()
        way.mute = False
        await ordering
        await other.broker.order({"n": 2})
        await eventually(lambda: len(one.inbox.orders) == 2)
        assert one.inbox.orders == [{"n": 1}, {"n": 2}]


async def test_what_others_write_under_our_names_stops_nobody(redis: RedisServer) -> None:
    async with nodes(redis, 2) as (one, other):
        told = await other.follow()
        for text in (
            "",
            "m",
            "m x",
            "m x y\n",
            "p 1\n9\n",
            f"m {told.epoch} 1\n{{}}",
            "m z 1\n{}\n1",
        ):
            await redis.command("PUBLISH", KEY, text)
        await redis.command("PUBLISH", f"{PREFIX}orders", "nobody x\n[]")
        await redis.command("XADD", f"{KEY}log", "1-0", "their", "entry")
        with pytest.raises(Unavailable):
            await one.publish(b"1")
        await redis.command("DEL", f"{KEY}log")
        assert (await one.publish(b"2")).offset == 1
        await eventually(lambda: told.head == 1)
        assert other.broker.foreign == 8
        assert told.restarts == 0


# -- a Redis that is away -------------------------------------------------------------------


async def test_while_redis_is_frozen_publishes_are_refused_in_time(redis: RedisServer) -> None:
    async with nodes(redis, 2) as (one, other):
        mine, told = await one.follow(), await other.follow()
        await one.publish(b"before")
        redis.freeze()
        began = asyncio.get_running_loop().time()
        outcomes = await asyncio.gather(
            *(one.publish(b"lost %d" % n) for n in range(5)), return_exceptions=True
        )
        assert all(isinstance(one, Unavailable) for one in outcomes)
        assert asyncio.get_running_loop().time() - began < 3.0
        await eventually(lambda: one.broker.failing)
        began = asyncio.get_running_loop().time()
        with pytest.raises(Unavailable, match="slow"):
            await one.publish(b"lost at once")
        assert asyncio.get_running_loop().time() - began < 2.5
        assert one.broker.refused == 6
        redis.thaw()
        await eventually(lambda: not one.broker.failing)
        place = await one.publish(b"after")
        await eventually(lambda: told.head == place.offset)
        await eventually(lambda: mine.head == place.offset)
        assert mine.messages == told.messages
        assert told.epoch == place.epoch
        assert (told.skips, told.restarts) == ([], 0)
        assert len(set(told.datas)) == len(told.datas)


async def test_while_redis_is_frozen_publishes_are_held_in_order(redis: RedisServer) -> None:
    async with nodes(redis, 2, "hold") as (one, other):
        mine, told = await one.follow(), await other.follow()
        await one.publish(b"0")
        redis.freeze()
        waiting = [spawn(one.publish(b"%d" % n), name="held") for n in range(1, 201)]
        await eventually(lambda: one.broker.failing and other.broker.failing)
        redis.thaw()
        places = await asyncio.gather(*waiting)
        assert [place.offset for place in places] == list(range(2, 202))
        assert mine.datas == [b"%d" % n for n in range(201)]
        await eventually(lambda: told.head == 201)
        assert told.messages == mine.messages
        assert (one.broker.held, one.broker.refused) == (200, 0)
        assert told.skips == []


async def test_what_is_held_is_bounded(redis: RedisServer) -> None:
    async with nodes(redis, 1, "hold") as (one,):
        redis.freeze()
        waiting = [spawn(one.publish(b"x"), name="held") for _ in range(WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(Unavailable, match="too many"):
            await one.publish(b"one more")
        redis.thaw()
        assert [place.offset for place in await asyncio.gather(*waiting)] == list(
            range(1, WAITING + 1)
        )
        redis.freeze()
        large = b"x" * 1_000_000
        waiting = [spawn(one.publish(large), name="held") for _ in range(BYTES // len(large) + 1)]
        await asyncio.sleep(0)
        with pytest.raises(Unavailable, match="too many"):
            await one.publish(b"one more")
        redis.thaw()
        await asyncio.gather(*waiting)
        assert one.broker._publications._bytes == 0  # noqa: SLF001


async def test_a_redis_that_is_killed_and_empty_when_it_is_back_begins_another_epoch(
    redis: RedisServer,
) -> None:
    async with nodes(redis, 2, "hold") as (one, other):
        mine, told = await one.follow(), await other.follow()
        for n in range(5):
            await one.publish(b"%d" % n)
        await eventually(lambda: told.head == 5)
        before = told.epoch
        await redis.kill()
        await eventually(lambda: one.broker.failing)
        held = spawn(one.publish(b"held"), name="held")
        await redis.start()
        place = await held
        await eventually(lambda: told.epoch == place.epoch and told.head == 1)
        assert (place.offset, place.epoch != before) == (1, True)
        assert (mine.restarts, told.restarts) == (1, 1)
        assert other.broker.restarts == 1
        await eventually(lambda: not other.broker.failing)
        assert await other.publish(b"next") == Place(place.epoch, 2)
        agree(mine, told)


async def test_a_redis_that_comes_back_with_an_older_state_gives_no_offset_twice(
    redis: RedisServer,
) -> None:
    async with nodes(redis, 2, "hold") as (one, other):
        mine, told = await one.follow(), await other.follow()
        await one.publish(b"1")
        await redis.command("SAVE")
        for n in range(2, 6):
            await one.publish(b"%d" % n)
        await eventually(lambda: told.head == 5)
        await redis.kill()
        await redis.start()
        assert await number(redis, "XLEN", f"{KEY}log") == 1
        place = await other.publish(b"again")
        await eventually(lambda: same(mine, told) and told.epoch == place.epoch)
        assert told.restarts == 1
        agree(mine, told)


async def test_an_emptied_redis_is_noticed_by_the_next_message(redis: RedisServer) -> None:
    async with nodes(redis, 2) as (one, other):
        mine, told = await one.follow(), await other.follow()
        await one.publish(b"1")
        await redis.command("FLUSHALL")
        place = await one.publish(b"2")
        await eventually(lambda: same(mine, told) and told.epoch == place.epoch)
        assert (told.restarts, mine.restarts) == (1, 1)
        agree(mine, told)


async def test_what_was_published_while_a_node_was_cut_off_is_filled_in(
    redis: RedisServer,
) -> None:
    async with relay(redis.port) as way, nodes(redis, 1) as (one,), nodes(way, 1) as (other,):
        told = [await other.follow(f"c{n}") for n in range(50)]
        for line in range(1, 4):
            way.closed = True
            way.cut()
            await asyncio.gather(*(one.publish(b"%d" % line, f"c{n}") for n in range(50)))
            way.closed = False
            await eventually(lambda: all(t.head == line for t in told))  # noqa: B023
        assert [t.datas for t in told] == [[b"1", b"2", b"3"]] * 50
        assert (other.broker.filled, other.broker.skipped) == (150, 0)
        assert other.broker.reconnects >= 3


async def test_what_was_trimmed_while_a_node_was_cut_off_is_skipped(redis: RedisServer) -> None:
    async with relay(redis.port) as way, nodes(redis, 1) as (one,), nodes(way, 1) as (other,):
        policy = ChannelPolicy(size=3)
        told = await other.follow("c", policy)
        await one.broker.publish("c", policy, message(b"0"))
        await eventually(lambda: told.head == 1)
        way.closed = True
        way.cut()
        for n in range(1, 10):
            await one.broker.publish("c", policy, message(b"%d" % n))
        way.closed = False
        await eventually(lambda: told.head == 10)
        assert told.datas == [b"0", b"7", b"8", b"9"]
        assert told.skips == [6]
        assert (other.broker.skipped, other.broker.filled) == (6, 3)


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_is_cut_off_nothing_is_published_twice(
    redis: RedisServer, seed: int
) -> None:
    dice = random.Random(seed)
    async with nodes(redis, 2, "hold") as (one, other):
        mine, told = await one.follow(), await other.follow()
        lines = [b"%d" % n for n in range(400)]

        async def cut() -> None:
            for _ in range(25):
                await asyncio.sleep(dice.random() * 0.02)
                kind = dice.choice(("normal", "pubsub"))
                await redis.command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")

        async def speak(part: list[bytes]) -> None:
            for line in part:
                await dice.choice((one, other)).publish(line)
                await asyncio.sleep(0)

        await asyncio.gather(cut(), *(speak(lines[n::8]) for n in range(8)))
        await eventually(lambda: mine.head == told.head == 400)
        assert sorted(told.datas) == sorted(lines)
        assert mine.messages == told.messages
        assert (told.skips, told.restarts) == ([], 0)


async def test_what_was_done_though_its_answer_was_lost_is_not_done_again(
    redis: RedisServer,
) -> None:
    async with relay(redis.port) as way, nodes(way, 1, "hold") as (one,):
        told = await one.follow()
        await one.publish(b"first")
        way.mute = True
        waiting = [spawn(one.publish(b"%d" % n), name="lost") for n in range(3)]

        async def done() -> bool:
            return await number(redis, "XLEN", f"{KEY}log") == 4

        await settled(done)
        way.cut()
        way.mute = False
        places = await asyncio.gather(*waiting)
        assert [place.offset for place in places] == [2, 3, 4]
        assert await done()
        assert told.datas == [b"first", b"0", b"1", b"2"]
        assert one.broker.held == 3


async def test_a_number_has_one_place_and_none_once_it_was_given_up(redis: RedisServer) -> None:
    link = Link(redis.url, KEY, identified=True)

    async def publish(number: int, first: int) -> list[object]:
        return await link.call(PUBLISH, f"fresh{number}", "node", number, first, 9, 60_000, b"x")

    assert await publish(1, 1) == [b"fresh1", 1]
    assert await publish(2, 1) == [b"fresh1", 2]
    assert await publish(1, 1) == [b"fresh1", 1]
    assert await publish(4, 4) == [b"fresh1", 3]
    assert await publish(3, 1) == []
    assert await number(redis, "HLEN", f"{KEY}done:node") == 2
    await link.close()


async def test_a_message_that_was_refused_never_comes_after_a_later_one(
    redis: RedisServer,
) -> None:
    async with nodes(redis, 1) as (one,):
        told = await one.follow()
        redis.freeze()
        with pytest.raises(Unavailable):
            await one.publish(b"refused")
        redis.thaw()
        await eventually(lambda: not one.broker.failing)
        for n in range(20):
            await one.publish(b"%d" % n)
        assert [data for data in told.datas if data != b"refused"] == [b"%d" % n for n in range(20)]
        assert b"refused" not in told.datas[1:]


async def test_a_subscription_that_is_silently_dead_is_made_anew(redis: RedisServer) -> None:
    async with relay(redis.port) as way, nodes(redis, 1) as (one,), nodes(way, 1) as (other,):
        told = await other.follow()
        way.mute = True
        await eventually(lambda: "slow" in other.broker.failing, patience=20)
        await one.publish(b"1")
        way.mute = False
        await eventually(lambda: told.head == 1, patience=20)
        assert other.broker.filled == 1


async def test_who_reads_too_slowly_for_redis_only_loses_a_connection(
    redis: RedisServer,
) -> None:
    await redis.command("CONFIG", "SET", "client-output-buffer-limit", "pubsub 1mb 0 0")
    large = b'"%b"' % (b"x" * 200_000)
    async with relay(redis.port) as way, nodes(redis, 1) as (one,), nodes(way, 1) as (other,):
        told = await other.follow()
        way.flowing.clear()
        for _ in range(150):
            await one.publish(large)

        async def cut_off() -> bool:
            count = f"return redis.call('PUBSUB', 'NUMSUB', '{KEY}')[2]"
            return await number(redis, "EVAL", count, "0") == 0

        await settled(cut_off)
        way.flowing.set()
        await eventually(lambda: told.head == 150, patience=20)
        assert told.datas == [large] * 150
        assert other.broker.filled > 0


async def test_who_may_not_ask_for_the_run_of_redis_is_told_so(redis: RedisServer) -> None:
    await redis.command("ACL", "SETUSER", "default", "-info")
    broker = RedisBroker(redis.url)
    with pytest.raises(Unavailable, match="allow INFO"):
        await broker.start(Remembering())
    await broker.stop()


async def test_what_has_to_be_asked_is_answered_in_time_while_redis_is_frozen(
    redis: RedisServer,
) -> None:
    async with nodes(redis, 1) as (one,):
        redis.freeze()
        began = asyncio.get_running_loop().time()
        outcomes = await asyncio.gather(
            one.broker.follow("c", POLICY),
            one.broker.attendance("c", None, 1),
            one.broker.order({}),
            return_exceptions=True,
        )
        assert all(isinstance(outcome, Unavailable) for outcome in outcomes)
        assert asyncio.get_running_loop().time() - began < 6.0  # an order is tried twice
        redis.thaw()
        await eventually(lambda: not one.broker.failing)
        await one.follow()
        assert (await one.publish(b"1")).offset == 1


async def test_a_channel_that_is_dropped_while_it_is_opened_is_not_followed(
    redis: RedisServer,
) -> None:
    async with nodes(redis, 1) as (one,):
        opening = spawn(one.broker.follow("c", POLICY), name="opens")
        await asyncio.sleep(0)
        one.broker.unfollow("c")
        with pytest.raises(Unavailable, match="not followed"):
            await opening
        await one.publish(b"1")
        assert (await one.follow()).datas == [b"1"]


@pytest.mark.slow
async def test_a_redis_that_is_away_for_longer_than_messages_are_held(redis: RedisServer) -> None:
    async with nodes(redis, 2, "hold") as (one, other):
        mine, told = await one.follow(), await other.follow()
        await one.publish(b"before")
        redis.freeze()
        early = [spawn(one.publish(b"early"), name="early") for _ in range(5)]
        await asyncio.sleep(10)
        late = [spawn(one.publish(b"%d" % n), name="late") for n in range(100)]
        outcomes = await asyncio.gather(*early, return_exceptions=True)
        assert all(isinstance(outcome, Unavailable) for outcome in outcomes)
        redis.thaw()
        places = await asyncio.gather(*late)
        assert places == sorted(places, key=lambda place: place.offset)
        await eventually(lambda: same(mine, told) and mine.head >= 101, patience=20)
        assert mine.messages == told.messages
        assert told.datas[-100:] == [b"%d" % n for n in range(100)]
        assert (told.skips, told.restarts) == ([], 0)


async def test_a_node_starts_though_redis_is_away(redis: RedisServer) -> None:
    await redis.kill()
    async with nodes(redis, 1, "hold") as (one,):
        assert "cannot be reached" in one.broker.failing
        held = spawn(one.publish(b"1"), name="held")
        await redis.start()
        assert (await held).offset == 1
        await eventually(lambda: not one.broker.failing)


async def test_a_wrong_password_is_said_at_once_and_never_shown(redis: RedisServer) -> None:
    await redis.command("CONFIG", "SET", "requirepass", "right")
    broker = RedisBroker(redis.url.replace("//", "//:sesame@"))
    with pytest.raises(Unavailable, match="another password") as raised:
        await broker.start(Remembering())
    assert "sesame" not in f"{raised.value} {broker!r} {broker.failing}"
    await broker.stop()


# -- presence -------------------------------------------------------------------------------


async def test_who_is_at_several_nodes_is_there_once(redis: RedisServer) -> None:
    async with nodes(redis, 2) as (one, other):
        await one.follow()
        await other.follow()
        one.broker.attend("c", "ann", 1)
        other.broker.attend("c", "ann", 2)
        other.broker.attend("c", "bob", 1)
        here = one.inbox.here.setdefault("c", set())
        await eventually(lambda: here == {"ann", "bob"})

        async def counted() -> bool:
            found = await one.broker.attendance("c", None, 10)
            return (found.users, found.connections) == (2, 4) and found.page == {"ann": 3, "bob": 1}

        await settled(counted)
        other.broker.attend("c", "ann", 0)
        other.broker.attend("c", "bob", 0)
        await eventually(lambda: here == {"ann"})
        await eventually(lambda: other.inbox.here["c"] == {"ann"})
        assert [left for _, _, left, _ in one.inbox.changes if left] == [["bob"]]


async def test_what_a_dead_node_has_left_is_removed(redis: RedisServer) -> None:
    async with nodes(redis, 2) as (one, other):
        await one.follow()
        channels = [f"c{n}" for n in range(250)]
        for n in range(1200):
            other.broker.attend("c", f"user-{n}", 1)
        for channel in channels:
            other.broker.attend(channel, "ann", 1)
        one.broker.attend("c", "user-7", 1)
        here = one.inbox.here.setdefault("c", set())
        await eventually(lambda: len(here) == 1200)
        await other.broker._presence.pause()  # noqa: SLF001
        session = other.broker._presence.session  # noqa: SLF001
        await redis.command("ZADD", f"{PREFIX}{NODES}sessions", "1", session)
        await eventually(lambda: here == {"user-7"}, patience=20)
        found = await one.broker.attendance("c", None, 10)
        assert (found.users, found.connections, dict(found.page)) == (1, 1, {"user-7": 1})

        async def forgotten() -> bool:
            return await number(redis, "ZCARD", f"{PREFIX}{NODES}sessions") == 1

        await settled(forgotten)
        assert await number(redis, "EXISTS", *(f"{key_of(c)}users" for c in channels)) == 0
        assert await number(redis, "EXISTS", f"{PREFIX}{NODES}in:{session}") == 0


async def test_a_node_that_was_taken_for_dead_tells_everything_again(redis: RedisServer) -> None:
    async with nodes(redis, 2) as (one, other):
        await one.follow()
        other.broker.attend("c", "ann", 2)
        here = one.inbox.here.setdefault("c", set())
        await eventually(lambda: here == {"ann"})
        await redis.command(
            "ZADD",
            f"{PREFIX}{NODES}sessions",
            "1",
            other.broker._presence.session,  # noqa: SLF001
        )

        async def again() -> bool:
            found = await one.broker.attendance("c", None, 10)
            return other.broker._presence.session.endswith(".1") and dict(found.page) == {"ann": 2}  # noqa: SLF001

        await settled(again, patience=20)


async def test_presence_is_told_again_to_an_emptied_redis(redis: RedisServer) -> None:
    async with nodes(redis, 2) as (one, other):
        one.broker.attend("c", "ann", 2)
        other.broker.attend("c", "bob", 1)

        async def counted() -> bool:
            with suppress(Unavailable):
                found = await one.broker.attendance("c", None, 10)
                return dict(found.page) == {"ann": 2, "bob": 1}
            return False

        await settled(counted)
        await redis.kill()
        one.broker.attend("c", "ann", 1)
        one.broker.attend("c", "ann", 2)
        await redis.start()
        await settled(counted, patience=20)


# -- many -----------------------------------------------------------------------------------


async def test_ten_thousand_channels_are_caught_up_within_seconds(redis: RedisServer) -> None:
    names = [f"c{n}" for n in range(10_000)]
    async with nodes(redis, 2) as (one, other):

        async def follow(part: list[str]) -> None:
            for name in part:
                await other.follow(name)

        await asyncio.gather(*(follow(names[n::200]) for n in range(200)))
        await redis.command("CLIENT", "KILL", "TYPE", "pubsub")
        for start in range(0, len(names), 500):
            await asyncio.gather(*(one.publish(b"1", name) for name in names[start : start + 500]))
        await eventually(
            lambda: all(told.head == 1 for told in other.inbox.channels.values()), patience=20
        )
        began = asyncio.get_running_loop().time()
        await redis.command("CLIENT", "KILL", "TYPE", "pubsub")
        await eventually(lambda: other.broker.reconnects >= 2)
        await asyncio.gather(*(one.publish(b"2", name) for name in names[:100]))
        await eventually(lambda: all(other.inbox.channels[n].head == 2 for n in names[:100]))
        assert asyncio.get_running_loop().time() - began < 10
