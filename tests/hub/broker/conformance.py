"""What every broker has to do. CHECKS: each is given an opener, and raises where it does not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from tests.hub.broker.inboxes import Remembering
from tests.peers.gateways import eventually, settled
from uaitools.hub.broker.port import Broker
from uaitools.hub.channel import ChannelPolicy
from uaitools.hub.message import Message
from uaitools.hub.place import Place

POLICY: Final = ChannelPolicy()
Open = Callable[[], Awaitable[tuple[Broker, Remembering]]]


def message(data: bytes = b"{}", **fields: object) -> Message:
    return Message(**{"type": "message", "data": data, "timestamp": 1.5, **fields})  # type: ignore[arg-type]


async def who_follows_has_a_message_when_it_is_published(open_: Open) -> None:
    broker, inbox = await open_()
    told = inbox.begin("c", await broker.follow("c", POLICY))
    assert (told.head, told.messages) == (0, {})
    for number in range(1, 4):
        place = await broker.publish("c", POLICY, message(b"%d" % number))
        assert place == Place(told.epoch, number)
        assert told.head == number
    assert told.datas == [b"1", b"2", b"3"]


async def a_message_arrives_as_it_was_published(open_: Open) -> None:
    broker, inbox = await open_()
    told = inbox.begin("c", await broker.follow("c", POLICY))
    messages = [
        message(b'{"a": [1.50, "\\u00e9\\n\xc3\xa9"],  "a": 2}'),
        message(b"12345678901234567890123", type="ev\u00e9nement\n", timestamp=0.001),
        message(b'""', repository_id=7, user_id="u\n1", exclude="x"),
        message(b"null", repository_id="r-1"),
    ]
    for one in messages:
        await broker.publish("c", POLICY, one)
    assert list(told.messages.values()) == messages


async def messages_of_one_caller_keep_their_order(open_: Open) -> None:
    broker, inbox = await open_()
    told = inbox.begin("c", await broker.follow("c", POLICY))

    async def speak(name: int) -> list[Place]:
        return [await broker.publish("c", POLICY, message(b"%d" % name)) for _ in range(50)]

    spoken = await asyncio.gather(*(speak(name) for name in range(8)))
    assert told.head == 400
    assert sorted(place.offset for places in spoken for place in places) == list(range(1, 401))
    for name, places in enumerate(spoken):
        assert places == sorted(places, key=lambda place: place.offset)
        assert {told.messages[place.epoch, place.offset].data for place in places} == {b"%d" % name}


async def channels_are_counted_apart(open_: Open) -> None:
    broker, inbox = await open_()
    names = ("a", "b", "{", "}", "}{", "a}:meta", "%7D", "a:b", "*", "[a]")
    for name in names:
        inbox.begin(name, await broker.follow(name, POLICY))
    for number, name in enumerate(names):
        for _ in range(number + 1):
            await broker.publish(name, POLICY, message(name.encode()))
    for number, name in enumerate(names):
        assert inbox.channels[name].datas == [name.encode()] * (number + 1)


async def who_does_not_follow_is_told_nothing(open_: Open) -> None:
    broker, inbox = await open_()
    inbox.begin("c", await broker.follow("c", POLICY))
    inbox.begin("d", await broker.follow("d", POLICY))
    await broker.publish("c", POLICY, message(b"1"))
    broker.unfollow("c")
    broker.unfollow("nobody follows this")
    if broker.keeps:
        await broker.publish("c", POLICY, message(b"2"))
    await broker.publish("d", POLICY, message(b"3"))
    assert inbox.channels["c"].datas == [b"1"]
    again = await broker.follow("c", POLICY)
    assert [one.data for one in again.messages] == ([b"1", b"2"] if broker.keeps else [])
    assert again.base == 0


async def followers_know_who_comes_and_goes(open_: Open) -> None:
    broker, inbox = await open_()
    inbox.begin("c", await broker.follow("c", POLICY))
    here = inbox.here.setdefault("c", set())
    broker.attend("c", "ann", 1)
    broker.attend("c", "ann", 2)
    broker.attend("c", "bob", 1)
    broker.attend("c", "passing by", 1)
    broker.attend("c", "passing by", 0)
    broker.attend("not followed", "ann", 1)
    await eventually(lambda: here == {"ann", "bob"})
    broker.attend("c", "ann", 1)
    broker.attend("c", "bob", 0)
    await eventually(lambda: here == {"ann"})
    assert inbox.changes[-1][3] == 1
    assert {change[0] for change in inbox.changes} == {"c"}
    assert all("passing by" not in change[1] for change in inbox.changes)


async def attendance_is_counted_and_paged_by_name(open_: Open) -> None:
    broker, _ = await open_()
    names = ["\u00e9mile", "ann", "bob", "carl", "Zoe", "\U0001f600", "with\nlines", " "]
    for number, name in enumerate(names):
        broker.attend("c", name, number + 1)

    async def there() -> bool:
        return (await broker.attendance("c", None, 1)).users == len(names)

    await settled(there)
    everything = await broker.attendance("c", None, 100)
    assert everything.connections == sum(range(len(names) + 1))
    assert dict(everything.page) == {name: n + 1 for n, name in enumerate(names)}
    assert list(everything.page) == sorted(names)
    found, after = list[str](), None
    while page := (await broker.attendance("c", after, 3)).page:
        assert len(page) <= 3
        found += page
        after = found[-1]
    assert found == sorted(names)
    for name in names:
        broker.attend("c", name, 0)

    async def gone() -> bool:
        return (await broker.attendance("c", None, 1)).users == 0

    await settled(gone)
    assert (await broker.attendance("c", None, 9)).connections == 0
    assert (await broker.attendance("nobody", None, 9)).page == {}


async def who_gives_an_order_does_not_hear_it(open_: Open) -> None:
    broker, inbox = await open_()
    await broker.order({"do": "this"})
    assert inbox.orders == []


CHECKS: Final[list[Callable[[Open], Awaitable[None]]]] = [
    who_follows_has_a_message_when_it_is_published,
    a_message_arrives_as_it_was_published,
    messages_of_one_caller_keep_their_order,
    channels_are_counted_apart,
    who_does_not_follow_is_told_nothing,
    followers_know_who_comes_and_goes,
    attendance_is_counted_and_paged_by_name,
    who_gives_an_order_does_not_hear_it,
]
