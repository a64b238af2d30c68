"""The client and the hub, and what lies between them: nothing is lost, nothing comes twice."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.peers.gateways import eventually
from tests.peers.hubs import SECRET, boxed, grant, hub, keyed, publisher
from tests.peers.middlebox import middlebox
from tests.peers.redis import redis_server
from tests.peers.servers import free_port
from uaitools.addresses import Address
from uaitools.hub.client import (
    Attendance,
    Ended,
    Gap,
    HubClient,
    Message,
    Place,
    Presence,
    Refused,
    Reset,
    Subscription,
)
from uaitools.tasks import spawn


def url(where: Address | str) -> str:
    return f"ws://{where}/ws"


async def read(subscription: Subscription[Any], last: int) -> list[Any]:
    """All events up to the message with that offset: offsets, and what is no message."""
    found: list[Any] = []
    async with asyncio.timeout(20):
        while not found or found[-1] != last:
            event = await anext(subscription)
            found.append(event.offset if isinstance(event, Message) else event)
    return found


async def test_everything_that_a_client_can_ask(tmp_path: Path) -> None:
    key, auth = publisher(tmp_path)
    async with hub(auth=auth) as server, HubClient(url(server.address), token=key) as client:

        async def translate(_session: object, data: Any) -> Any:
            return data["text"].upper()

        server.hub.command("translate")(translate)
        wanted = {"eq": ["repo", 12]}
        async with client.subscribe("builds", filter=wanted) as builds:
            for repo in (12, 13):
                await client.publish("builds", {"repo": repo})
            place = await client.publish("builds", {"repo": 12}, type="finished")
            assert await read(builds, 3) == [1, 3]
            assert builds.place == place
            page = await client.history("builds", limit=2)
            assert [message.data["repo"] for message in page.messages] == [13, 12]
            assert (page.place, page.more) == (place, False)
            since = await client.history("builds", since=Place(place.epoch, 1))
            assert [message.offset for message in since.messages] == [2, 3]
            who = await client.presence("builds")
            assert isinstance(who, Attendance)
            assert (who.users, who.connections, len(who.page)) == (1, 1, 1)
        assert await client.call("translate", {"text": "a"}) == "A"
        with pytest.raises(Refused, match="unknown_type"):
            await client.call("sing")
        with pytest.raises(Refused, match="bad_field"):
            await client.subscribe("builds", filter={"shout": 1}).__aenter__()
        await client.ping()


async def test_a_wrong_credential_is_told(tmp_path: Path) -> None:
    _, auth = publisher(tmp_path)
    async with hub(auth=auth) as server, HubClient(url(server.address), token="wrong") as client:
        with pytest.raises(Ended) as ended:
            await client.ping()
        assert ended.value.code == 401


async def test_a_private_channel_takes_a_token_of_its_own(tmp_path: Path) -> None:
    key, user, auth = keyed(tmp_path)
    asked: list[str] = []

    async def token() -> str:
        asked.append("private:x")
        return grant(user, "private:x")

    async with (
        boxed(auth=auth, token_secret=SECRET) as (server, box),
        HubClient(url(box.host), token=key) as client,
    ):
        with pytest.raises(Refused, match="forbidden"):
            await client.subscribe("private:x").__aenter__()
        other = client.subscribe("private:x", token=grant(user, "private:y"))
        with pytest.raises(Refused, match="forbidden"):
            await other.__aenter__()
        async with client.subscribe("private:x", token=token) as private:
            box.cut()
            await server.hub.publish("private:x", 1)
            assert await read(private, 1) == [1]
    assert len(asked) == 2


async def test_an_operator_ends_a_connection_for_good() -> None:
    async with (
        hub() as server,
        HubClient(url(server.address)) as client,
        client.subscribe("builds") as builds,
    ):
        [session] = server.hub.sessions
        await server.hub.disconnect(connection=session.id)
        with pytest.raises(Ended) as ended:
            await anext(builds)
        assert ended.value.close_code == 4003


async def test_joins_are_told() -> None:
    channels = [{"match": "room", "joins": True}]
    async with (
        hub(channels=channels) as server,
        HubClient(url(server.address)) as client,
        client.subscribe("room") as room,
    ):
        event = await anext(room)
        assert isinstance(event, Presence)
        assert event.users == 1


async def test_after_a_cut_nothing_is_missing_or_comes_twice() -> None:
    async with (
        boxed() as (server, box),
        HubClient(url(box.host)) as client,
        client.subscribe("builds") as builds,
    ):
        for number in range(200):
            await server.hub.publish("builds", number)
            if number % 50 == 25:
                box.cut()
            await asyncio.sleep(0)
        assert await read(builds, 200) == list(range(1, 201))


async def test_what_was_pushed_out_is_a_gap() -> None:
    channels = [{"match": "builds", "history": 4}]
    async with (
        boxed(channels=channels) as (server, box),
        HubClient(url(box.host)) as client,
        client.subscribe("builds") as builds,
    ):
        await server.hub.publish("builds", 0)
        assert await read(builds, 1) == [1]
        box.deaf = True
        box.cut()
        await eventually(lambda: not client.connected)
        for number in range(1, 20):
            await server.hub.publish("builds", number)
        box.deaf = False
        await eventually(lambda: client.connected)
        gap = await anext(builds)
        assert isinstance(gap, Gap)
        assert (gap.first, gap.last) == (2, 20)
        await server.hub.publish("builds", 20)
        assert await read(builds, 21) == [21]


async def test_one_that_is_not_read_gets_everything_that_is_kept_when_it_is() -> None:
    async with (
        hub() as server,
        HubClient(url(server.address)) as client,
        client.subscribe("builds", size=4) as builds,
    ):
        for number in range(1, 251):
            await server.hub.publish("builds", "x" * 1000)
            if number % 10 == 0:
                await asyncio.sleep(0)
        assert await read(builds, 250) == list(range(1, 251))


async def test_128_channels_come_back_together() -> None:
    """Without more commands a second than a hub takes by itself."""
    async with boxed(rate=50) as (server, box), HubClient(url(box.host)) as client:
        subscriptions = [client.subscribe(f"c{number}") for number in range(127)]
        for subscription in subscriptions:
            await subscription.__aenter__()
        box.cut()
        await eventually(lambda: not client.connected)
        for number in range(127):
            await server.hub.publish(f"c{number}", 1)
        for subscription in subscriptions:
            assert await read(subscription, 1) == [1]
        assert len(server.hub.sessions) == 1


async def test_nodes_that_share_are_left_without_a_loss_or_anything_twice(tmp_path: Path) -> None:
    async with (
        redis_server(tmp_path) as redis,
        hub(redis=redis.url) as one,
        hub(redis=redis.url) as two,
        middlebox(one.address.port) as box,
        HubClient(url(box.host)) as client,
        client.subscribe("builds") as builds,
    ):
        reading = spawn(read(builds, 301), name="read")
        for number in range(100):
            await one.hub.publish("builds", number)
        box.target = two.address.port
        draining = spawn(one.drain(asyncio.get_running_loop().time() + 10), name="drain")
        for number in range(100, 300):
            await two.hub.publish("builds", number)
        await draining
        await eventually(lambda: len(two.hub.sessions) == 1)
        assert not one.hub.sessions
        await client.publish("builds", 300)
        assert await reading == list(range(1, 302))


@asynccontextmanager
async def process(port: int) -> AsyncIterator[None]:
    """The program, killed in the end."""
    listen = f"127.0.0.1:{port}"
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "uaitools.hub", "--listen", listen), stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        running.kill()
        await running.wait()


async def test_a_hub_that_is_killed_and_begins_anew_resets() -> None:
    port = free_port()
    async with HubClient(url(f"127.0.0.1:{port}")) as client:
        async with process(port):
            builds = client.subscribe("builds")
            await builds.__aenter__()
            await client.publish("builds", 1)
            assert await read(builds, 1) == [1]
        async with process(port):
            event = await anext(builds)
            assert isinstance(event, Reset)
            assert event.offset == 0
            await client.publish("builds", 1, retry=True)
            assert await read(builds, 1) == [1]
            await builds.__aexit__(None, None, None)


async def test_as_many_commands_as_one_likes_are_given_no_faster_than_the_hub_takes_them() -> None:
    async with hub(rate=200, burst=20) as server, HubClient(url(server.address)) as client:
        places = await asyncio.gather(*(client.publish("builds", one) for one in range(150)))

        assert [place.offset for place in places] == list(range(1, 151))
        assert server.hub.closed == {}
