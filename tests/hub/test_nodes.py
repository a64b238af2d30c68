"""Two hubs as processes of their own, on one real Redis that is frozen, killed and emptied."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import jwt
import pytest

from tests.hub.server.served import Client, Closed, Visitor, stream, visit
from tests.peers.component_program import ComponentProgram
from tests.peers.gateways import settled
from tests.peers.hub_program import hub_program
from tests.peers.redis import RedisServer
from tests.registry.store.conftest import redis  # noqa: F401 - for pytest
from uaitools.tasks import spawn

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])  # other processes do the work

FREE: Final = {"UAITOOLS_HUB__RATE": "100000", "UAITOOLS_HUB__BURST": "100000"}
Document = dict[str, Any]


@dataclass
class Node:
    program: ComponentProgram
    visitor: Visitor


@asynccontextmanager
async def nodes(redis: RedisServer, **environ: str) -> AsyncIterator[tuple[Node, Node]]:  # noqa: F811
    settings = {**FREE, "UAITOOLS_REDIS_URL": redis.url, **environ}
    async with AsyncExitStack() as stack:

        async def node() -> Node:
            program = await stack.enter_async_context(hub_program(environ=settings))
            return Node(program, await stack.enter_async_context(visit(program.url)))

        yield await node(), await node()


SECRET: Final = "a secret of the application, 32 bytes long"
SECURED: Final = {"UAITOOLS_AUTH__JWT__SECRET": SECRET}


def bearer(user: str) -> str:
    """A token with which everything may be done."""
    claims = {"sub": user, "exp": time.time() + 300, "scope": "hub:publish"}
    return f"Bearer {jwt.encode(claims, SECRET, algorithm='HS256')}"


@dataclass
class Reader:
    """Follows a channel and keeps what comes, whatever node it is at.

    epochs: the messages, by epoch; in an epoch each comes at the next offset. answers: replies by
    their ids.
    """

    client: Client
    channel: str
    epoch: str
    offset: int
    epochs: dict[str, list[Document]] = field(default_factory=dict)
    resets: int = 0
    answers: dict[int, Document] = field(default_factory=dict)

    @property
    def messages(self) -> list[Document]:
        return [one for messages in self.epochs.values() for one in messages]

    @property
    def data(self) -> list[Any]:
        return [one["data"] for one in self.messages]

    async def take(self) -> None:
        """What comes next."""
        heard = await self.client.hear()
        if "id" in heard:
            self.answers[heard["id"]] = heard
        elif heard["channel"] != self.channel:
            assert (heard["type"], heard["channel"]) == ("reset", "all")  # where everybody is
        elif heard["type"] == "reset":
            assert heard["epoch"] != self.epoch
            self.epoch, self.offset = heard["epoch"], heard["offset"]
            self.resets += 1
        else:
            assert heard["offset"] == self.offset + 1, heard
            self.offset += 1
            self.epochs.setdefault(self.epoch, []).append(heard)

    async def until(self, last: Any) -> None:
        """Go on until that message has come."""
        while not self.epochs or self.data[-1] != last:
            await self.take()

    async def reach(self, offset: int) -> None:
        """Go on up to an offset."""
        while self.offset < offset:
            await self.take()

    async def follow(self, client: Client) -> None:
        """Go on with another connection, at any node."""
        place = {"epoch": self.epoch, "offset": self.offset}
        reply = await client.subscribe(self.channel, recover=place)
        assert (reply["recovered"], reply["epoch"]) == (True, self.epoch)
        assert reply["offset"] == self.offset
        self.client = client


async def reader(client: Client, channel: str = "a") -> Reader:
    begun = await client.subscribe(channel)
    return Reader(client, channel, begun["epoch"], begun["offset"])


def agree(*readers: Reader) -> None:
    """What is at one offset of an epoch is one message, for all."""
    for epoch in {epoch for one in readers for epoch in one.epochs}:
        known: dict[int, Document] = {}
        for one in readers:
            for message in one.epochs.get(epoch, ()):
                assert known.setdefault(message["offset"], message) == message


# -- order ----------------------------------------------------------------------------------


LINES: Final = 40


async def by_rest(node: Node, channel: str, name: str) -> list[int]:
    """Publish; the offsets."""
    return [await node.visitor.publish(channel, f"{name}.{line}") for line in range(LINES)]


async def by_socket(node: Node, channel: str, name: str) -> list[int]:
    """The same, as a client."""
    offsets = []
    async with node.visitor.client() as client:
        for line in range(LINES):
            reply = await client.ask("publish", channel=channel, data=f"{name}.{line}")
            assert reply["type"] == "published", reply
            offsets.append(reply["offset"])
    return offsets


async def listen(both: Sequence[Node], channel: str, stack: AsyncExitStack) -> list[Reader]:
    """A reader at each node."""
    clients = [await stack.enter_async_context(node.visitor.client()) for node in both]
    return [await reader(client, channel) for client in clients]


async def test_all_clients_of_all_nodes_see_one_order(redis: RedisServer) -> None:  # noqa: F811
    channels = ("a", "b")
    async with nodes(redis) as both, AsyncExitStack() as stack:
        readers = {channel: await listen(both, channel, stack) for channel in channels}
        speaking = [
            (speak, node, channel, f"{speak.__name__}-{number}")
            for speak in (by_rest, by_socket)
            for number, node in enumerate(both)
            for channel in channels
        ]
        spoken = await asyncio.gather(
            *(speak(node, channel, name) for speak, node, channel, name in speaking)
        )
        for channel in channels:
            first, second = readers[channel]
            await first.reach(4 * LINES)
            await second.reach(4 * LINES)
            assert first.messages == second.messages
            for (_, _, there, name), offsets in zip(speaking, spoken, strict=True):
                if there == channel:
                    said = [first.data[offset - 1] for offset in offsets]
                    assert said == [f"{name}.{line}" for line in range(LINES)]
                    assert offsets == sorted(offsets)


# -- going on at the other node -------------------------------------------------------------

WAYS: Final = ("websocket", "sse", "poll")


async def read_to(way: str, at: Visitor, channel: str, place: str, last: int) -> list[Document]:
    """What comes after a place, up to an offset; all of it has to."""
    epoch, _, offset = place.partition(":")
    after = f"{channel}={place}"
    messages: list[Document] = []
    if way == "websocket":
        async with at.client() as client:
            recover = {"epoch": epoch, "offset": int(offset)}
            reply = await client.subscribe(channel, recover=recover)
            assert (reply["recovered"], reply["epoch"]) == (True, epoch)
            assert reply["offset"] == int(offset)
            while not messages or messages[-1]["offset"] < last:
                messages.append(await client.hear())
    elif way == "sse":
        async with stream(at, f"channel={channel}", Last_Event_ID=after) as events:
            _, _, begun = await events.hear("subscribed")
            assert [one["recovered"] for one in begun["channels"]] == [True]
            while not messages or messages[-1]["offset"] < last:
                kind, name, message = await events.hear("message", "gap", "reset")
                assert (kind, name) == ("message", f"{channel}={epoch}:{message['offset']}")
                messages.append(message)
    else:
        while not messages or messages[-1]["offset"] < last:
            answer = await at.ask("GET", f"/v1/poll?channel={channel}&after={after}")
            [found] = answer.body["channels"]
            assert (found["recovered"], found["epoch"]) == (True, epoch)
            messages += found["messages"]
            after = answer.body["after"]
        assert after == f"{channel}={epoch}:{last}"
    return messages


async def test_who_leaves_a_node_goes_on_at_the_other_in_any_way(redis: RedisServer) -> None:  # noqa: F811
    async with nodes(redis) as (one, other):
        for number, first in enumerate(WAYS):
            channel = f"c{number}"
            answer = await one.visitor.ask("GET", f"/v1/poll?channel={channel}")
            epoch = answer.body["channels"][0]["epoch"]
            for line in range(5):
                await one.visitor.publish(channel, line, type="line", user_id="ann")
            before = await read_to(first, one.visitor, channel, f"{epoch}:0", 5)
            for line in range(5, 12):
                await (one, other)[line % 2].visitor.publish(channel, line, repository_id=line)
            place = f"{epoch}:{before[-1]['offset']}"
            found = [await read_to(way, other.visitor, channel, place, 12) for way in WAYS]
            assert found[0] == found[1] == found[2]
            everything = before + found[0]
            assert [message["offset"] for message in everything] == list(range(1, 13))
            assert [message["data"] for message in everything] == list(range(12))
            assert everything == await read_to(first, one.visitor, channel, f"{epoch}:0", 12)


async def test_after_kill_9_of_a_node_its_clients_go_on_at_the_other(
    redis: RedisServer,  # noqa: F811
) -> None:
    async with nodes(redis) as (one, other), AsyncExitStack() as stack:
        readers = []
        for _ in range(5):
            client = await stack.enter_async_context(one.visitor.client())
            readers.append(await reader(client))
        placed: list[int] = []

        async def speak() -> None:
            for line in range(150):
                offset = await other.visitor.publish("a", line)
                placed.append(offset)

        speaking = spawn(speak(), name="speak")
        await asyncio.gather(*(each.until(50) for each in readers))
        await one.program.kill()

        async def move(each: Reader) -> None:
            with contextlib.suppress(Closed):
                await each.until("what never comes")  # but what was on its way
            client = await stack.enter_async_context(other.visitor.client())
            await each.follow(client)
            await each.until(149)

        await asyncio.gather(*(move(each) for each in readers))
        await speaking
        assert placed == list(range(1, 151))
        for each in readers:
            assert each.data == list(range(150))
            assert each.resets == 0
        agree(*readers)


async def test_who_was_at_a_node_that_was_killed_is_not_there_any_more(
    redis: RedisServer,  # noqa: F811
) -> None:
    async with nodes(redis, **SECURED) as (one, other), AsyncExitStack() as stack:
        for node, user in ((one, "ann"), (one, "bob"), (other, "bob")):
            entering = node.visitor.client(Authorization=bearer(user))
            await (await stack.enter_async_context(entering)).subscribe("room")

        async def there() -> dict[str, int]:
            answer = await other.visitor.ask(
                "GET", "/v1/presence/room", Authorization=bearer("bob")
            )
            found = {each["user"]: each["connections"] for each in answer.body["page"]}
            assert answer.body["connections"] == sum(found.values())
            assert answer.body["users"] == len(found)
            return found

        async def all_are() -> bool:
            return await there() == {"ann": 1, "bob": 2}

        async def one_is() -> bool:
            return await there() == {"bob": 1}

        await settled(all_are)
        await one.program.kill()
        await settled(one_is, patience=30)


# -- across nodes ---------------------------------------------------------------------------


async def test_a_notice_reaches_a_connection_of_the_other_node(redis: RedisServer) -> None:  # noqa: F811
    async with nodes(redis) as (one, other), one.visitor.client() as client:
        path = f"/v1/connections/{client.id}/send"
        for node, here in ((other, False), (one, True)):
            answer = await node.visitor.ask("POST", path, {"type": "greet", "data": [here]})
            assert (answer.status, answer.body) == (200, {"here": here})
            heard = await client.hear()
            assert (heard["type"], heard["event"], heard["data"]) == ("direct", "greet", [here])
        assert (await client.ask("ping"))["type"] == "pong"  # and came once


async def test_who_is_disconnected_is_so_at_all_nodes(
    redis: RedisServer,  # noqa: F811
) -> None:
    async with nodes(redis, **SECURED) as (one, other), AsyncExitStack() as stack:

        async def enter(node: Node, user: str) -> Client:
            entering = node.visitor.client(Authorization=bearer(user))
            return await stack.enter_async_context(entering)

        async def end(**whom: str) -> None:
            answer = await other.visitor.ask(
                "POST", "/v1/disconnect", whom, Authorization=bearer("ann")
            )
            assert answer.status == 200, answer

        single, second = await enter(one, "ann"), await enter(one, "ann")
        await end(connection=single.id)
        assert await single.ended() == 4003
        bobs = [await enter(node, "bob") for node in (one, one, other)]
        await end(user="bob")
        assert [await each.ended() for each in bobs] == [4003] * 3
        assert (await second.ask("ping"))["type"] == "pong"


async def test_what_is_sent_to_a_user_or_to_all_reaches_all_nodes(
    redis: RedisServer,  # noqa: F811
) -> None:
    async with nodes(redis, **SECURED) as (one, other), AsyncExitStack() as stack:
        clients = {
            (user, node.program.port): await stack.enter_async_context(
                node.visitor.client(Authorization=bearer(user))
            )
            for user in ("ann", "bob")
            for node in (one, other)
        }
        for path, channel in (("/v1/users/ann/send", "user:ann"), ("/v1/broadcast", "all")):
            answer = await one.visitor.ask(
                "POST", path, {"data": path}, Authorization=bearer("bob")
            )
            assert answer.body["channel"] == channel
            for (user, _), client in clients.items():
                if user == "ann" or channel == "all":
                    heard = await client.hear()
                    assert (heard["channel"], heard["data"]) == (channel, path)


# -- a Redis that is away -------------------------------------------------------------------


@dataclass
class Speaker:
    """Publishes at a node, by REST and as a client, and keeps how each was answered."""

    node: Node
    client: Client
    name: str
    placed: dict[str, int] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    said: int = 0

    async def speak(self) -> None:
        """Two messages."""
        self.said += 1
        await asyncio.gather(
            self._by_rest(f"{self.name}.rest.{self.said}"),
            self._by_socket(f"{self.name}.socket.{self.said}"),
        )

    async def _by_rest(self, line: str) -> None:
        said = {"channel": "a", "data": line}
        answer = await self.node.visitor.ask("POST", "/v1/publish", said)
        if answer.status == 200:
            self.placed[line] = answer.body["offset"]
        else:
            assert answer.status == 503, answer
            assert "Retry-After" in answer.headers
            self.refused.append(line)

    async def _by_socket(self, line: str) -> None:
        number = await self.client.say(type="publish", channel="a", data=line)
        async with asyncio.timeout(40):
            message = await self.client.socket.receive_json()
        assert message["id"] == number
        if message["type"] == "published":
            self.placed[line] = message["offset"]
        else:
            assert (message["type"], message["code"]) == ("error", "unavailable"), message
            self.refused.append(line)


@asynccontextmanager
async def speakers(both: Sequence[Node]) -> AsyncIterator[list[Speaker]]:
    async with AsyncExitStack() as stack:
        yield [
            Speaker(node, await stack.enter_async_context(node.visitor.client()), f"node {number}")
            for number, node in enumerate(both)
        ]


def whole(readers: Sequence[Reader], speaking: Sequence[Speaker]) -> None:
    """What was said to be published is there, once, at its place; nothing came twice at all."""
    agree(*readers)
    for each in readers:
        assert [one["offset"] for one in each.messages] == list(range(1, len(each.messages) + 1))
        assert len(set(each.data)) == len(each.data)
        for speaker in speaking:
            for line, offset in speaker.placed.items():
                assert each.data[offset - 1] == line
            assert set(each.data) <= {
                line for one in speaking for line in (*one.placed, *one.refused)
            } | {"last"}


@pytest.mark.parametrize("away", ["refuse", "hold"])
async def test_while_redis_is_frozen_clients_stay_and_afterwards_have_everything(
    redis: RedisServer,  # noqa: F811
    away: str,
) -> None:
    async with (
        nodes(redis, UAITOOLS_HUB__AWAY=away) as both,
        speakers(both) as speaking,
        AsyncExitStack() as stack,
    ):
        readers = await listen(both, "a", stack)
        for _ in range(3):
            await asyncio.gather(*(one.speak() for one in speaking))
        assert [len(one.placed) for one in speaking] == [6, 6]
        redis.freeze()
        began = asyncio.get_running_loop().time()
        waiting = [spawn(one.speak(), name="speak while it is away") for one in speaking]
        await asyncio.sleep(4)
        for each in readers:
            number = await each.client.say(type="ping")
            while number not in each.answers:
                await each.take()
            assert each.answers[number]["type"] == "pong"
        assert all(task.done() for task in waiting) is (away == "refuse")
        if away == "refuse":
            again = [spawn(one.speak(), name="speak once it is known") for one in speaking]
            await asyncio.gather(*again)
            assert asyncio.get_running_loop().time() - began < 8
        redis.thaw()
        await asyncio.gather(*waiting)
        refused = {"refuse": 4, "hold": 0}[away]
        assert [len(one.refused) for one in speaking] == [refused, refused]
        await _works_again(both)
        for _ in range(3):
            await asyncio.gather(*(one.speak() for one in speaking))
        last = await both[0].visitor.publish("a", "last")
        for each in readers:
            await each.until("last")
            assert each.offset == last
            assert each.resets == 0
        whole(readers, speaking)


async def _works_again(both: Sequence[Node]) -> None:
    async def works() -> bool:
        answers = [await node.visitor.ask("GET", "/health") for node in both]
        return all(answer.body["dependencies"] == {"broker": "healthy"} for answer in answers)

    await settled(works, patience=15)


async def test_after_a_restart_of_redis_without_its_memory_clients_are_reset_and_go_on(
    redis: RedisServer,  # noqa: F811
) -> None:
    async with nodes(redis) as both, AsyncExitStack() as stack:
        readers = await listen(both, "a", stack)
        old = readers[0].epoch
        for line in range(5):
            await both[line % 2].visitor.publish("a", line)
        for each in readers:
            await each.until(4)
        await redis.kill()
        answer = await both[0].visitor.ask("POST", "/v1/publish", {"channel": "a", "data": "lost"})
        assert answer.status == 503
        await redis.start()
        await _works_again(both)
        # Nobody has to publish for it: they hear of it by themselves.
        for each in readers:
            while not each.resets:
                await each.take()
        assert readers[0].epoch == readers[1].epoch != old
        for line in range(5, 15):
            await both[line % 2].visitor.publish("a", line)
        for each in readers:
            await each.until(14)
            assert [one["data"] for one in each.epochs[each.epoch]] == list(range(5, 15))
            assert each.resets == 1
        agree(*readers)
        async with both[1].visitor.client() as client:
            reply = await client.subscribe("a", recover={"epoch": old, "offset": 5})
            assert (reply["recovered"], reply["offset"]) == (False, 10)


@pytest.mark.slow
@pytest.mark.timeout(150)
@pytest.mark.parametrize("away", ["refuse", "hold"])
async def test_a_redis_that_is_away_for_half_a_minute(redis: RedisServer, away: str) -> None:  # noqa: F811
    async with (
        nodes(redis, UAITOOLS_HUB__AWAY=away) as both,
        speakers(both) as speaking,
        AsyncExitStack() as stack,
    ):
        readers = await listen(both, "a", stack)
        over = asyncio.Event()

        async def go_on(one: Speaker) -> None:
            while not over.is_set():
                await one.speak()
                await asyncio.sleep(0.05)

        async def read(each: Reader) -> None:
            """Without a limit to the silence."""
            while not each.epochs or each.data[-1] != "last":
                try:
                    await each.take()
                except TimeoutError:
                    await each.client.say(type="ping")

        going = [spawn(go_on(one), name="speak") for one in speaking]
        reading = [spawn(read(each), name="read") for each in readers]
        await asyncio.sleep(2)
        redis.freeze()
        await asyncio.sleep(32)  # HOLD is 30
        assert not any(task.done() for task in (*going, *reading))
        redis.thaw()
        await _works_again(both)
        before = [len(one.placed) for one in speaking]
        await asyncio.sleep(2)
        over.set()
        await asyncio.gather(*going)
        assert all(len(one.placed) > count for one, count in zip(speaking, before, strict=True))
        await both[1].visitor.publish("a", "last")
        await asyncio.gather(*reading)
        whole(readers, speaking)
        assert [each.resets for each in readers] == [0, 0]
        assert all(one.refused for one in speaking)
        # Who comes back from before it gets all that is kept, too.
        async with both[0].visitor.client() as client:
            moved = Reader(client, "a", readers[1].epoch, readers[1].offset - 100)
            await moved.follow(client)
            await moved.until("last")
            assert moved.messages == readers[1].messages[-100:]
