"""Server-sent events and long polls: the same messages at the same offsets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.hub.server.served import PATIENCE, Served, served, stream
from uaitools.tasks import spawn


@pytest.fixture
async def hub() -> AsyncIterator[Served]:
    async with served() as one:
        yield one


async def test_a_stream_begins_with_its_places_and_goes_on_from_each_event(hub: Served) -> None:
    async with stream(hub, "channel=a&channel=b/c") as one:
        _, place, data = await one.hear("subscribed")
        assert [found["channel"] for found in data["channels"]] == ["a", "b/c"]
        assert place.startswith("a=")
        assert ",b%2Fc=" in place
        await hub.publish("a", 1)
        kind, place, message = await one.hear("message")
        assert (kind, message["data"], message["offset"]) == ("message", 1, 1)
    await hub.publish("a", 2)
    await hub.publish("b/c", 3)
    async with stream(hub, "channel=a&channel=b/c", Last_Event_ID=place) as one:
        _, _, data = await one.hear("subscribed")
        assert [found["recovered"] for found in data["channels"]] == [True, True]
        got = [(await one.hear("message"))[2] for _ in range(2)]
        assert sorted((found["channel"], found["data"]) for found in got) == [("a", 2), ("b/c", 3)]


async def test_a_place_of_a_websocket_is_a_place_of_a_poll_and_of_a_stream(hub: Served) -> None:
    async with hub.client() as client:
        reply = await client.subscribe("a")
        await hub.publish("a", 1)
        offset = (await client.hear())["offset"]
    await hub.publish("a", 2)
    after = f"a={reply['epoch']}:{offset}"
    polled = await hub.ask("GET", f"/v1/poll?channel=a&after={after}")
    [found] = polled.body["channels"]
    assert (found["recovered"], [one["data"] for one in found["messages"]]) == (True, [2])
    async with stream(hub, f"channel=a&after={after}") as one:
        assert (await one.hear("message"))[2]["data"] == 2
    await hub.publish("a", 3)
    more = await hub.ask("GET", f"/v1/poll?channel=a&after={polled.body['after']}")
    assert [one["data"] for one in more.body["channels"][0]["messages"]] == [3]


async def test_a_poll_waits_until_something_comes(hub: Served) -> None:
    here = (await hub.ask("GET", "/v1/poll?channel=a")).body["after"]
    asking = spawn(hub.ask("GET", f"/v1/poll?channel=a&after={here}&wait=30"), name="poll")
    await waiting(hub)
    await hub.publish("a", 1)
    answer = await asking
    assert [one["data"] for one in answer.body["channels"][0]["messages"]] == [1]


async def waiting(hub: Served) -> None:
    """Until there is a poll that waits."""
    async with asyncio.timeout(PATIENCE):
        while True:
            if b"hub_polls 1" in (await hub.ask("GET", "/metrics")).body:
                return
            await asyncio.sleep(0.02)


async def test_a_poll_of_a_quiet_channel_says_so_after_its_time(hub: Served) -> None:
    here = (await hub.ask("GET", "/v1/poll?channel=a")).body["after"]
    answer = await hub.ask("GET", f"/v1/poll?channel=a&after={here}&wait=0.2")
    assert (answer.status, answer.body["after"]) == (200, here)
    assert answer.body["channels"][0]["messages"] == []


async def test_a_place_that_is_lost_is_said_at_once(hub: Served) -> None:
    await hub.publish("a", 1)
    answer = await hub.ask("GET", "/v1/poll?channel=a&after=a=another:9&wait=30")
    assert answer.body["channels"][0]["recovered"] is False
    assert answer.body["channels"][0]["offset"] == 1
    async with stream(hub, "channel=a&after=a=another:9") as one:
        assert (await one.hear("subscribed"))[2]["channels"][0]["recovered"] is False


@pytest.mark.parametrize(
    "query",
    ["", "channel=", "channel=a&after=nonsense", "channel=a&wait=-1", "channel=a&x=1"],
)
async def test_a_wrong_question_is_answered_with_its_fields(hub: Served, query: str) -> None:
    assert (await hub.ask("GET", f"/v1/poll?{query}")).status == 422


async def test_streams_and_polls_end_when_the_hub_stops(hub: Served) -> None:
    here = (await hub.ask("GET", "/v1/poll?channel=a")).body["after"]
    asking = spawn(hub.ask("GET", f"/v1/poll?channel=a&after={here}&wait=60"), name="poll")
    async with stream(hub, "channel=a") as one:
        await one.hear("subscribed")
        await waiting(hub)
        draining = spawn(hub.server.drain(asyncio.get_running_loop().time() + 5), name="drain")
        assert (await one.hear("reconnect"))[2]["after_ms"] >= 0
        assert (await one.hear("closed"))[2]["code"] == 1001
        await draining
    assert (await asking).status == 200


async def test_who_does_not_read_his_stream_is_caught_up_later(hub: Served) -> None:
    async with stream(hub, "channel=a") as one:
        await one.hear("subscribed")
        for number in range(200):
            await hub.publish("a", {"number": number, "text": "x" * 20_000})
        offsets: list[int] = []
        while not offsets or offsets[-1] < 200:
            kind, _, data = await one.hear("message", "gap")
            if kind == "gap":
                offsets += range(data["from"], data["to"] + 1)
            else:
                offsets.append(data["offset"])
        assert offsets == list(range(1, 201))
