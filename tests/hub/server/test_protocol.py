"""What clients say, and what they are told, over both kinds of sockets."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from tests.hub.server.served import Closed, Served, served
from tests.peers.gateways import eventually
from uaitools.hub.closing import DISCONNECTED
from uaitools.hub.commands import CommandError
from uaitools.hub.config import Mode
from uaitools.hub.session import Session


async def test_a_message_comes_in_its_shape(hub: Served) -> None:
    async with hub.client() as client:
        reply = await client.subscribe("builds")
        assert (reply["offset"], reply["recovered"]) == (0, None)
        told = {"repository_id": 12, "user_id": "u-1", "type": "finished"}
        await hub.publish("builds", {"build": 7}, **told)
        message = await client.hear()
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", message.pop("timestamp"))
        assert message == {"channel": "builds", "offset": 1, "data": {"build": 7}, **told}


async def test_what_is_not_given_is_not_said(hub: Served) -> None:
    async with hub.client() as client:
        await client.subscribe("builds")
        await hub.publish("builds", None)
        assert set(await client.hear()) == {"type", "channel", "offset", "timestamp", "data"}


async def test_each_reply_has_the_id_of_its_command_and_comes_in_its_order(hub: Served) -> None:
    async with hub.client() as client:
        ids = [await client.say(type="ping") for _ in range(20)]
        assert [(await client.hear())["id"] for _ in ids] == ids


async def test_a_channel_that_is_left_says_nothing_more(hub: Served) -> None:
    async with hub.client() as client:
        await client.subscribe("a")
        await client.subscribe("b")
        assert (await client.ask("unsubscribe", channel="a"))["type"] == "unsubscribed"
        await hub.publish("a", 1)
        await hub.publish("b", 2)
        assert (await client.hear())["data"] == 2
        assert (await client.ask("unsubscribe", channel="a"))["code"] == "not_subscribed"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", "bad_json"),
        ("[]", "bad_json"),
        ('{"id": 1, "type": "publish", "channel": "a", "data": NaN}', "bad_json"),
        ('{"id": 1, "type": "shout"}', "unknown_type"),
        ('{"id": 1, "type": "subscribe"}', "bad_field"),
        ('{"id": 1, "type": "subscribe", "channel": "a", "filter": {"x": 1}}', "bad_field"),
        (
            '{"id": 1, "type": "publish", "channel": "a", "data": "' + "x" * 70_000 + '"}',
            "too_long",
        ),
    ],
)
async def test_a_mistake_is_answered_and_the_connection_goes_on(
    hub: Served, text: str, code: str
) -> None:
    async with hub.client() as client:
        await client.socket.send_str(text)
        reply = await client.hear()
        assert (reply["type"], reply["code"]) == ("error", code)
        assert ("id" in reply) is (code in ("unknown_type", "bad_field"))
        assert (await client.ask("ping"))["type"] == "pong"


async def test_bytes_are_no_command(hub: Served) -> None:
    async with hub.client() as client:
        await client.socket.send_bytes(b"{}")
        assert (await client.hear())["code"] == "bad_json"


async def test_who_makes_mistakes_again_and_again_is_disconnected(hub: Served) -> None:
    async with hub.client() as client:
        for _ in range(12):
            await client.socket.send_str("{")
        assert await client.ended() == 4004


async def test_what_is_far_too_long_ends_the_connection(hub: Served) -> None:
    async with hub.client() as client:
        await client.socket.send_str("x" * 300_000)
        assert await client.ended() == 1009


async def test_too_many_commands_are_refused_and_then_end_the_connection(mode: Mode) -> None:
    async with served(mode=mode, rate=1, burst=5) as hub, hub.client() as client:
        for _ in range(10):
            await client.say(type="ping")
        codes = [(await client.hear()).get("code") for _ in range(10)]
        assert codes == [None] * 5 + ["too_many"] * 5
        for _ in range(12):
            await client.say(type="ping")
        assert await client.ended() == 4005


async def test_a_connection_has_a_limit_of_channels(mode: Mode) -> None:
    async with served(mode=mode, subscriptions=2) as hub, hub.client() as client:
        await client.subscribe("a")  # the second: one is `all`
        assert (await client.ask("subscribe", channel="b"))["code"] == "limit"
        await client.subscribe("a")  # which it has


async def test_who_comes_again_gets_what_he_missed_in_order(hub: Served) -> None:
    async with hub.client() as client:
        place = await client.subscribe("a")
        await hub.publish("a", 1)
        seen = (await client.hear())["offset"]
    for number in (2, 3, 4):
        await hub.publish("a", number)
    async with hub.client() as client:
        after = {"epoch": place["epoch"], "offset": seen}
        reply = await client.subscribe("a", recover=after)
        assert (reply["recovered"], reply["offset"]) == (True, 1)
        await hub.publish("a", 5)
        assert [(await client.hear())["data"] for _ in range(4)] == [2, 3, 4, 5]


@pytest.mark.parametrize("epoch", ["another", None])
async def test_recovery_is_whole_or_says_that_it_is_not(mode: Mode, epoch: str | None) -> None:
    rules = [{"match": "*", "history": 3}]
    async with served(mode=mode, channels=rules) as hub, hub.client() as client:
        place = await client.subscribe("a")
        for number in range(5):
            await hub.publish("a", number)
        async with hub.client() as other:
            after = {"epoch": epoch or place["epoch"], "offset": 1}
            reply = await other.subscribe("a", recover=after)
            assert (reply["recovered"], reply["offset"]) == (False, 5)
            await hub.publish("a", "new")
            assert (await other.hear())["data"] == "new"


async def test_an_offset_that_there_was_never_is_not_recovered(hub: Served) -> None:
    async with hub.client() as client:
        place = await client.subscribe("a")
        after = {"epoch": place["epoch"], "offset": 7}
        assert (await client.subscribe("a", recover=after))["recovered"] is False


async def test_a_filter_lets_pass_what_fits(hub: Served) -> None:
    async with hub.client() as client, hub.client() as all_of_it:
        await client.subscribe("a", filter={"eq": ["kind", "x"]})
        await all_of_it.subscribe("a")
        for kind in ("y", "x", "y", "x"):
            await hub.publish("a", {"kind": kind})
        assert [(await client.hear())["offset"] for _ in range(2)] == [2, 4]
        assert [(await all_of_it.hear())["offset"] for _ in range(4)] == [1, 2, 3, 4]


async def test_a_client_publishes_and_may_spare_itself_the_echo(hub: Served) -> None:
    async with hub.client() as client, hub.client() as other:
        await client.subscribe("a")
        await other.subscribe("a")
        reply = await client.ask("publish", channel="a", data=1, echo=False, event="said")
        assert (reply["type"], reply["offset"]) == ("published", 1)
        await client.say(type="publish", channel="a", data=2)
        got = [await client.hear(), await client.hear()]
        assert sorted(one["type"] for one in got) == ["message", "published"]
        assert [one["data"] for one in got if one["type"] == "message"] == [2]
        assert [(await other.hear())["data"] for _ in range(2)] == [1, 2]


async def test_all_but_one(hub: Served) -> None:
    async with hub.client() as client, hub.client() as other:
        await client.subscribe("a")
        await other.subscribe("a")
        await hub.publish("a", 1, exclude=client.id)
        await hub.publish("a", 2)
        assert (await client.hear())["data"] == 2
        assert (await other.hear())["data"] == 1


async def test_history_is_told_in_pages(hub: Served) -> None:
    for number in range(5):
        await hub.publish("a", number)
    async with hub.client() as client:
        newest = await client.ask("history", channel="a", limit=2)
        assert [one["data"] for one in newest["messages"]] == [3, 4]
        assert (newest["offset"], newest["lost"], newest["more"]) == (5, 0, False)
        since: dict[str, Any] = {"epoch": newest["epoch"], "offset": 1}
        page = await client.ask("history", channel="a", since=since, limit=3)
        assert [one["data"] for one in page["messages"]] == [1, 2, 3]
        assert (page["offset"], page["more"]) == (4, True)
        gone = await client.ask("history", channel="a", since={"epoch": "x", "offset": 1})
        assert gone["lost"] is None


async def test_the_same_history_is_told_over_http(hub: Served) -> None:
    for number in range(3):
        await hub.publish("a/b", number)
    answer = await hub.ask("GET", "/v1/history/a%2Fb?limit=2")
    assert [one["data"] for one in answer.body["messages"]] == [1, 2]


async def test_who_is_there_is_told_in_pages(hub: Served) -> None:
    async with hub.client() as client, hub.client() as other:
        await client.subscribe("a")
        await other.subscribe("a")
        reply = await client.ask("presence", channel="a")
        assert (reply["users"], reply["connections"], reply["next"]) == (1, 2, None)
        assert reply["page"] == [{"user": "anonymous", "connections": 2}]
    assert (await hub.ask("GET", "/v1/presence/a")).status == 200


async def test_everybody_gets_a_broadcast(hub: Served) -> None:
    async with hub.client() as client, hub.client() as other:
        assert (await hub.ask("POST", "/v1/broadcast", {"data": "hi"})).status == 200
        for one in (client, other):
            message = await one.hear()
            assert (message["channel"], message["data"]) == ("all", "hi")


async def test_one_connection_gets_a_notice(hub: Served) -> None:
    async with hub.client() as client:
        answer = await hub.ask(
            "POST", f"/v1/connections/{client.id}/send", {"data": 1, "type": "x"}
        )
        assert answer.body == {"here": True}
        notice = await client.hear()
        assert (notice["type"], notice["event"], notice["data"]) == ("direct", "x", 1)
        absent = await hub.ask("POST", "/v1/connections/nobody/send", {"data": 1})
        assert absent.body == {"here": False}


async def test_an_operator_ends_a_connection(hub: Served) -> None:
    async with hub.client() as client:
        answer = await hub.ask("POST", "/v1/disconnect", {"connection": client.id})
        assert answer.body == {"here": 1}
        assert await client.ended() == 4003
        await eventually(lambda: len(hub.server.hub.sessions) == 0)
    assert (await hub.ask("POST", "/v1/disconnect", {})).status == 422


async def test_an_application_adds_commands(hub: Served) -> None:
    @hub.server.hub.command("translate")
    async def translate(_session: Session, data: Any) -> Any:
        if data == "?":
            raise CommandError("no_word", "there is no word for that")
        return {"de": "hallo", "asked": data}

    @hub.server.hub.command("fail")
    async def fail(_session: Session, _data: Any) -> Any:
        raise RuntimeError("broken")

    async with hub.client() as client:
        reply = await client.ask("translate", data="hello")
        assert (reply["type"], reply["data"]) == ("translate", {"de": "hallo", "asked": "hello"})
        assert (await client.ask("translate", data="?"))["code"] == "no_word"
        assert (await client.ask("fail"))["code"] == "internal"
        assert (await client.ask("ping"))["type"] == "pong"


async def test_connections_are_listed_and_found(hub: Served) -> None:
    async with hub.client() as client, hub.client() as other:
        await client.subscribe("a")
        answer = await hub.ask("GET", "/connections?limit=1")
        assert answer.body["count"] == 2
        first = answer.body["page"][0]["id"]
        assert answer.body["next"] == first
        rest = await hub.ask("GET", f"/connections?after={first}")
        assert {first, rest.body["page"][0]["id"]} == {client.id, other.id}
        assert rest.body["next"] is None
        [found] = (await hub.ask("GET", "/connections?channel=a")).body["page"]
        assert found["id"] == client.id
        assert found["user"] is None
        assert found["lag"] == 0
        assert found["bytes_sent"] > 0
        assert {one["channel"] for one in found["channels"]} == {"a", "all"}
        assert (await hub.ask("GET", "/connections?lag=1")).body["page"] == []


async def test_a_client_that_goes_is_forgotten(hub: Served) -> None:
    async with hub.client() as client:
        await client.subscribe("a")
    await eventually(lambda: len(hub.server.hub.sessions) == 0)
    with pytest.raises(Closed):
        await client.hear()
    answer = await hub.ask("GET", "/v1/presence/a")
    assert answer.body["connections"] == 0


async def test_who_goes_while_he_subscribes_is_nowhere_afterwards(hub: Served) -> None:
    for number in range(20):
        async with hub.client(welcomed=False) as client:
            await client.say(type="subscribe", channel=f"c-{number}")
    await eventually(lambda: len(hub.server.hub.sessions) == 0)
    channels = hub.server.hub.channels
    await eventually(lambda: not any(one.busy or one.users for one in channels))
    await asyncio.sleep(0.2)  # nor does a command that came late bring one back
    assert not any(one.busy or one.users for one in channels)


async def test_nothing_is_done_for_one_who_was_disconnected(hub: Served) -> None:
    done = []

    @hub.server.hub.command("leave")
    async def leave(session: Session, _data: Any) -> Any:
        session.end(DISCONNECTED)

    @hub.server.hub.command("do")
    async def do(_session: Session, data: Any) -> Any:
        done.append(data)

    async with hub.client() as client:
        for command in ({"type": "do", "data": 1}, {"type": "leave"}, {"type": "do", "data": 2}):
            await client.say(**command)
        assert await client.ended() == 4003
    assert done == [1]


async def test_a_command_of_the_application_that_answers_nonsense_stops_nothing(
    hub: Served,
) -> None:
    @hub.server.hub.command("nonsense")
    async def nonsense(_session: Session, _data: Any) -> Any:
        return object()

    async with hub.client() as client:
        assert (await client.ask("nonsense"))["code"] == "internal"
        assert (await client.ask("ping"))["type"] == "pong"


async def test_equal_filters_that_json_cannot_tell_apart_silence_nobody(hub: Served) -> None:
    async with hub.client() as client:
        huge = '{"id": 1, "type": "subscribe", "channel": "a", "filter": {"eq": ["a", %d]}}'
        await client.socket.send_str(huge % 10**30)
        assert (await client.hear())["code"] == "bad_field"
        await client.subscribe("a", filter={"eq": ["a", None]})
        await hub.publish("a", {"a": None})
        assert (await client.hear())["data"] == {"a": None}


async def test_a_number_of_over_64_bits_is_what_a_double_makes_of_it(hub: Served) -> None:
    huge = "9" * 30
    async with hub.client() as client:
        await client.subscribe("a")
        said = '{"id": 9, "type": "publish", "channel": "a", "echo": false, "data": %s}'
        await client.socket.send_str(said % huge)
        assert (await client.hear())["type"] == "published"
        async with hub.session.post(
            f"{hub.url}/v1/publish",
            data=f'{{"channel": "a", "data": [{huge}]}}',
            headers={"Content-Type": "application/json"},
        ) as answer:
            assert answer.status == 200
        assert (await client.hear())["data"] == [1e30]
