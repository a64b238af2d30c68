"""The client against a hub that does what no real one does on demand."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any

import aiohttp
import pytest
from pydantic import BaseModel, ConfigDict
from structlog.testing import capture_logs

from tests.peers.gateways import eventually
from tests.peers.hub import HubPeer, Link, usual
from uaitools.hub.client import (
    Direct,
    Ended,
    Gap,
    Garbled,
    HubClient,
    HubError,
    Interrupted,
    Invalid,
    Message,
    Place,
    Presence,
    Refused,
    Reset,
    Subscription,
    Timing,
    Unreachable,
    Unsubscribed,
)
from uaitools.hub.client.connection import Lost, connect

QUICK = Timing(connect=2.0, answer=5.0, grace=0.2, steady=30.0)


@asynccontextmanager
async def client(peer: HubPeer, **settings: Any) -> AsyncIterator[HubClient]:
    async with HubClient(peer.url, **{"timing": QUICK, **settings}) as hub:
        yield hub


async def offsets(subscription: Subscription[Any], count: int) -> list[int]:
    """The offsets of so many events, all of them messages."""
    found = []
    async with asyncio.timeout(10):
        for _ in range(count):
            event = await anext(subscription)
            assert isinstance(event, Message), event
            found.append(event.offset)
    return found


async def said(peer: HubPeer, kind: str, count: int = 1, link: int = 1) -> dict[str, Any]:
    """The command of that kind and number."""
    opened = await peer.link(link)
    await eventually(lambda: len(opened.of(kind)) >= count)
    return opened.of(kind)[count - 1]


def test_importing_the_client_imports_neither_servers_nor_pydantic() -> None:
    program = (
        "import sys; import uaitools.hub.client; from uaitools.hub.client import HubClient, Place;"
        "assert HubClient and Place;"
        "print([m for m in sys.modules if m.startswith(('aiohttp.web', 'pydantic'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


async def test_messages_come_with_their_places(peer: HubPeer) -> None:
    async with client(peer, token="secret") as hub:
        async with hub.subscribe("builds", filter={"eq": ["n", 1]}) as builds:
            link = await peer.link()
            await link.message(1, type="finished", user_id="u", repository_id=12)
            event = await anext(builds)

            assert isinstance(event, Message)
            assert (event.type, event.data, event.user_id) == ("finished", {"n": 1}, "u")
            assert event.place == builds.place == Place("e1", 1)
            assert link.request.headers["Authorization"] == "Bearer secret"
            assert link.of("subscribe") == [
                {"id": 1, "type": "subscribe", "channel": "builds", "filter": {"eq": ["n", 1]}}
            ]
            assert "secret" not in repr(hub)
        await eventually(lambda: link.of("unsubscribe"))


async def test_after_a_cut_it_goes_on_where_it_was(peer: HubPeer) -> None:
    async with client(peer) as hub, hub.subscribe("builds") as builds:
        first = await peer.link()
        for offset in (1, 2):
            await first.message(offset)
        assert await offsets(builds, 2) == [1, 2]
        first.cut()
        command = await said(peer, "subscribe", link=2)
        assert command["recover"] == {"epoch": "e1", "offset": 2}
        second = await peer.link(2)
        for offset in (2, 3, 5):  # one that it has; and a filter leaves holes
            await second.message(offset)
        assert await offsets(builds, 2) == [3, 5]


async def test_what_waits_to_be_read_is_not_asked_for_again(peer: HubPeer) -> None:
    async with client(peer) as hub, hub.subscribe("builds") as builds:
        first = await peer.link()
        for offset in range(1, 11):
            await first.message(offset)
        await first.reply({"id": 99, "type": "nobody asked"})
        await eventually(lambda: len(builds.inbox) == 10)
        first.cut()
        assert (await said(peer, "subscribe", link=2))["recover"]["offset"] == 10
        assert await offsets(builds, 10) == list(range(1, 11))


async def test_a_place_of_the_application_is_recovered_from(peer: HubPeer) -> None:
    async with client(peer) as hub, hub.subscribe("builds", recover=Place("e1", 40)) as builds:
        assert (await said(peer, "subscribe"))["recover"] == {"epoch": "e1", "offset": 40}
        assert builds.place == Place("e1", 40)


async def test_gaps_resets_and_presence_are_told(peer: HubPeer) -> None:
    async with client(peer) as hub, hub.subscribe("builds") as builds:
        link = await peer.link()
        await link.say(type="gap", channel="builds", **{"from": 1, "to": 4})
        await link.say(type="presence", channel="builds", joined=["a"], left=[], users=1)
        await link.say(type="reset", channel="builds", epoch="e2", offset=7)
        await link.message(8)
        assert [await anext(builds) for _ in range(3)] == [
            Gap("builds", "e1", 1, 4),
            Presence("builds", ("a",), (), 1),
            Reset("builds", "e2", 7),
        ]
        assert (await anext(builds)) == Message(
            "builds", "e2", 8, "message", "2026-11-21T09:30:00.125Z", {"n": 8}
        )


async def test_a_hub_without_the_history_resets(peer: HubPeer) -> None:
    async with client(peer) as hub, hub.subscribe("builds") as builds:

        async def forgetful(link: Link, command: dict[str, Any]) -> None:
            await link.subscribed(command, 3, recovered=False, epoch="new")

        peer.answer = forgetful
        (await peer.link()).cut()
        assert await anext(builds) == Reset("builds", "new", 3)


# -- moving to another node -------------------------------------------------------------------


async def test_a_node_that_stops_is_left_without_a_loss_or_anything_twice(peer: HubPeer) -> None:
    async with client(peer) as hub, hub.subscribe("builds") as builds:
        first = await peer.link()
        await first.message(1)

        async def waits(link: Link, command: dict[str, Any]) -> None:
            if command["type"] != "subscribe":
                await usual(link, command)

        peer.answer = waits
        await first.say(type="reconnect", after_ms=1)
        command = await said(peer, "subscribe", link=2)
        second = await peer.link(2)
        assert command["recover"] == {"epoch": "e1", "offset": 1}
        await first.message(2)  # the old one is heard until the new one has answered
        assert await offsets(builds, 2) == [1, 2]
        assert not first.over
        await second.subscribed(command, 1, recovered=True)
        for offset in (2, 3, 4):
            await second.message(offset)
        assert await offsets(builds, 2) == [3, 4]
        await eventually(lambda: first.over)
        assert first.code == 1000
        assert peer.open == [second]


async def test_a_reply_of_the_old_connection_is_waited_for(peer: HubPeer) -> None:
    async def silent(link: Link, command: dict[str, Any]) -> None:
        if command["type"] != "publish":
            await usual(link, command)

    peer.answer = silent
    async with client(peer) as hub, hub.subscribe("builds"), asyncio.TaskGroup() as group:
        publishing = group.create_task(hub.publish("builds", 1))
        command = await said(peer, "publish")
        first = await peer.link()
        await first.say(type="reconnect", after_ms=0)
        await said(peer, "subscribe", link=2)
        await hub.ping()
        assert not first.over
        await usual(first, command)
        assert await publishing == Place("e1", 7)
        await eventually(lambda: first.over)


async def test_a_node_that_closes_before_the_time_is_replaced(peer: HubPeer) -> None:
    async with client(peer) as hub, hub.subscribe("builds"):
        first = await peer.link()
        await first.say(type="reconnect", after_ms=60_000)
        await first.socket.close(code=1001)
        await said(peer, "subscribe", link=2)


async def test_a_new_node_that_fails_leaves_the_old_one_in_use(peer: HubPeer) -> None:
    async with client(peer) as hub, hub.subscribe("builds") as builds:
        first = await peer.link()
        peer.refuses = 502
        await first.say(type="reconnect", after_ms=0)
        await eventually(lambda: peer.refused)
        await first.message(1)
        assert await offsets(builds, 1) == [1]
        assert await hub.publish("builds", 1) == Place("e1", 7)
        peer.refuses = 0
        await said(peer, "subscribe", link=2)
        await eventually(lambda: first.over)


# -- being refused, and being away --------------------------------------------------------------


@pytest.mark.parametrize(("code", "status"), [(4001, 401), (4003, 403), (4004, 400), (1009, 503)])
async def test_codes_that_say_so_end_the_client(peer: HubPeer, code: int, status: int) -> None:
    async with client(peer) as hub, hub.subscribe("builds") as builds:

        async def closes(link: Link, _command: dict[str, Any]) -> None:
            await link.socket.close(code=code, message=b"go")

        peer.answer = closes
        with pytest.raises(HubError):
            await hub.publish("builds", 1)
        with pytest.raises(Ended, match=f"closed with code {code} go") as ended:
            await anext(builds)
        assert (ended.value.close_code, ended.value.code) == (code, status)
        for waiting in (hub.ping(), hub.subscribe("other").__aenter__()):
            with pytest.raises(Ended):
                await waiting
        assert len(peer.links) == 1


@pytest.mark.parametrize("code", [1000, 1001, 1011, 4002, 4005, 4006, 4007, 4008, 4999])
async def test_after_other_codes_it_comes_again(peer: HubPeer, code: int) -> None:
    async with client(peer) as hub, hub.subscribe("builds"):
        await (await peer.link()).socket.close(code=code)
        await said(peer, "subscribe", link=2)


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_credential_ends_the_client(peer: HubPeer, status: int) -> None:
    peer.refuses = status
    async with client(peer, token="secret") as hub:
        with pytest.raises(Ended, match=f"status {status}") as ended:
            await hub.ping()
        assert ended.value.code == status
        assert "secret" not in str(ended.value)
        assert peer.refused == 1


async def test_a_hub_that_is_away_is_waited_for(peer: HubPeer) -> None:
    peer.refuses = 503
    async with client(peer) as hub, asyncio.TaskGroup() as group:
        publishing = group.create_task(hub.publish("builds", 1))
        await eventually(lambda: peer.refused)
        assert not hub.connected
        peer.refuses = 0
        assert await publishing == Place("e1", 7)


async def test_a_hub_that_stays_away_is_told_with_its_reason(peer: HubPeer) -> None:
    peer.refuses = 502
    async with client(peer, timing=Timing(answer=0.1)) as hub:
        with pytest.raises(Unreachable, match="status 502"):
            await hub.ping()
        with pytest.raises(Unreachable, match="status 502"):
            await hub.subscribe("builds").__aenter__()


async def test_retry_after_is_waited_for(peer: HubPeer) -> None:
    peer.refuses, peer.headers = 503, {"Retry-After": "3600"}
    async with client(peer, timing=Timing(answer=0.8)) as hub:
        with pytest.raises(Unreachable):
            await hub.ping()
        assert peer.refused == 1


async def test_retry_after_is_not_waited_for_without_end(peer: HubPeer) -> None:
    peer.refuses, peer.headers = 503, {"Retry-After": "9" * 400}
    async with aiohttp.ClientSession() as session:
        with pytest.raises(Lost) as caught:
            await connect(session, peer.url, None, Timing())
    assert caught.value.pause == 300


async def test_a_token_is_asked_for_at_each_connect(peer: HubPeer) -> None:
    tokens = iter(("one", "two", "three"))

    async def token() -> str:
        return next(tokens)

    async with client(peer, token=token) as hub, hub.subscribe("builds"):
        await (await peer.link()).socket.close(code=4001)  # it has expired
        await said(peer, "subscribe", link=2)
    assert [link.request.headers["Authorization"] for link in peer.links] == [
        "Bearer one",
        "Bearer two",
    ]


async def test_no_token_now_is_tried_again(peer: HubPeer) -> None:
    failures = iter((RuntimeError("secret"), None))

    async def token() -> str:
        if error := next(failures):
            raise error
        return "good"

    async with client(peer, token=token) as hub:
        await hub.ping()


async def test_a_silent_hub_is_left(peer: HubPeer) -> None:
    assert peer.greeting is not None
    peer.greeting["ping"] = 0
    async with client(peer):
        await peer.link(2)
        assert not peer.links[0].heard


async def test_a_ping_is_a_sign_of_life_and_is_answered(peer: HubPeer) -> None:
    assert peer.greeting is not None
    peer.greeting["ping"] = 0
    async with client(peer):
        link = await peer.link()
        for _ in range(8):
            await link.socket.ping()
            await asyncio.sleep(0.05)
        assert len(peer.links) == 1


@pytest.mark.parametrize("text", ["{", '{"type": 3}', '{"type": "gap", "channel": "builds"}'])
async def test_nonsense_is_answered_with_another_connection(peer: HubPeer, text: str) -> None:
    async with client(peer) as hub, hub.subscribe("builds"):
        await (await peer.link()).socket.send_str(text)
        await said(peer, "subscribe", link=2)


# -- commands -------------------------------------------------------------------------------------


def cutting(peer: HubPeer) -> None:
    seen: list[int] = []

    async def cut(link: Link, command: dict[str, Any]) -> None:
        if command["type"] == "publish" and not seen:
            seen.append(1)
            link.cut()
        else:
            await usual(link, command)

    peer.answer = cut


async def test_a_publish_that_is_interrupted_is_not_repeated(peer: HubPeer) -> None:
    cutting(peer)
    async with client(peer) as hub:
        with pytest.raises(Interrupted):
            await hub.publish("builds", 1)
        await hub.ping()
    assert sum(len(link.of("publish")) for link in peer.links) == 1


async def test_a_publish_is_repeated_if_the_caller_says_so(peer: HubPeer) -> None:
    cutting(peer)
    async with client(peer) as hub:
        await hub.publish("builds", 1, type="done", echo=False, retry=True)
        command = await said(peer, "publish", link=2)
        assert command == {
            "id": command["id"],
            "type": "publish",
            "channel": "builds",
            "data": 1,
            "event": "done",
            "echo": False,
        }


async def test_errors_are_raised_with_their_codes(peer: HubPeer) -> None:
    async def refuses(link: Link, command: dict[str, Any]) -> None:
        await link.refuse(command, "forbidden")

    peer.answer = refuses
    async with client(peer) as hub:
        with pytest.raises(Refused, match="forbidden: not so") as refused:
            await hub.publish("private:x", 1)
        assert (refused.value.error, refused.value.code) == ("forbidden", 403)
        with pytest.raises(Refused):
            await hub.subscribe("private:x").__aenter__()
        assert hub.connected


async def test_what_may_mend_is_tried_again(peer: HubPeer) -> None:
    async def unavailable(link: Link, command: dict[str, Any]) -> None:
        peer.answer = usual
        await link.refuse(command, "unavailable")

    async with client(peer) as hub:
        peer.answer = unavailable
        assert await hub.publish("builds", 1, retry=True) == Place("e1", 7)
        peer.answer = unavailable
        with pytest.raises(Refused):
            await hub.publish("builds", 1)
        peer.answer = unavailable
        async with hub.subscribe("builds"):
            assert len(peer.links[0].of("subscribe")) == 2


async def test_a_command_that_is_too_long_is_not_sent(peer: HubPeer) -> None:
    async with client(peer) as hub:
        await hub.ping()
        with pytest.raises(Refused, match="too_long"):
            await hub.publish("builds", "x" * 70_000)
        assert peer.links[0].of("publish") == []


async def test_an_answer_that_is_none_is_told(peer: HubPeer) -> None:
    async def empty(link: Link, command: dict[str, Any]) -> None:
        await link.reply(command, type="published")

    peer.answer = empty
    async with client(peer) as hub:
        with pytest.raises(Garbled):
            await hub.publish("builds", 1)


async def test_a_reply_that_comes_too_late_is_nobodys(peer: HubPeer) -> None:
    commands = []

    async def later(link: Link, command: dict[str, Any]) -> None:
        commands.append(command)
        if command["type"] == "ping":
            await usual(link, command)

    peer.answer = later
    async with client(peer, timing=Timing(answer=0.1)) as hub:
        with pytest.raises(Unreachable, match="it is silent"):
            await hub.publish("builds", 1)
        await usual(peer.links[0], commands[0])
        await hub.ping()


async def test_what_is_sent_to_this_connection_is_handed_on(peer: HubPeer) -> None:
    got: list[Direct] = []
    async with client(peer, direct=got.append):
        await (await peer.link()).say(type="direct", event="e", timestamp="t", data=1)
        await eventually(lambda: got)
    assert got == [Direct("e", "t", 1)]


async def test_what_the_application_does_not_take_ends_nothing(peer: HubPeer) -> None:
    def refuses(said: Direct) -> None:
        raise RuntimeError(said.event)

    async with client(peer, direct=refuses) as hub:
        with capture_logs() as logs:
            await (await peer.link()).say(type="direct", event="e", timestamp="t", data=1)
            await hub.ping()
        assert logs[-1]["event"] == "what was sent directly was not taken"
        assert len(peer.links) == 1


# -- subscriptions --------------------------------------------------------------------------------


class Build(BaseModel):
    model_config = ConfigDict(strict=True)

    n: int
    day: date = date(2026, 1, 1)


@dataclass
class Plain:
    n: int


async def test_data_is_validated_and_what_does_not_fit_is_told(peer: HubPeer) -> None:
    async with client(peer) as hub:
        async with hub.subscribe("builds", data=Build) as builds:
            link = await peer.link()
            await link.message(1, data={"n": 3, "day": "2026-11-21"})
            await link.message(2, data={"n": "3"})
            await link.message(3, data={"n": 4})
            first, second, third = [await anext(builds) for _ in range(3)]
        assert isinstance(first, Message)
        assert first.data == Build(n=3, day=date(2026, 11, 21))
        assert isinstance(second, Invalid)
        assert (second.message.data, second.place) == ({"n": "3"}, Place("e1", 2))
        assert isinstance(third, Message)
        async with hub.subscribe("other", data=Plain) as other:
            await link.message(1, channel="other")
            event = await anext(other)
            assert isinstance(event, Message)
            assert event.data == Plain(1)


async def test_a_subscription_that_is_not_read_stops_the_reading_and_loses_nothing(
    peer: HubPeer,
) -> None:
    async with client(peer) as hub, hub.subscribe("builds", size=8) as builds:
        link = await peer.link()
        for offset in range(1, 101):
            await link.message(offset)
        await eventually(lambda: len(builds.inbox) == 8)
        for _ in range(5):
            await asyncio.sleep(0)
        assert len(builds.inbox) == 8
        assert await offsets(builds, 100) == list(range(1, 101))


async def test_not_being_read_is_no_silence_of_the_hub(peer: HubPeer) -> None:
    assert peer.greeting is not None
    peer.greeting["ping"] = 0
    async with client(peer) as hub, hub.subscribe("builds", size=1) as builds:
        link = await peer.link()
        await link.message(1)
        await link.message(2)
        await asyncio.sleep(0.5)  # longer than a hub may be silent
        assert await offsets(builds, 2) == [1, 2]
        assert len(peer.links) == 1


async def test_a_subscription_that_the_hub_ends_says_so_after_what_came(peer: HubPeer) -> None:
    async with client(peer) as hub, hub.subscribe("builds") as builds:
        link = await peer.link()
        await link.message(1)
        await link.say(type="unsubscribed", channel="builds", code="forbidden", reason="enough")
        assert await offsets(builds, 1) == [1]
        with pytest.raises(Unsubscribed, match="enough"):
            await anext(builds)
        async with hub.subscribe("builds"):
            pass


async def test_an_expired_token_of_a_channel_is_replaced(peer: HubPeer) -> None:
    tokens = iter(("one", "two"))

    async def token() -> str:
        return next(tokens)

    async with client(peer) as hub, hub.subscribe("private:x", token=token) as private:
        link = await peer.link()
        await link.message(1, channel="private:x")
        await link.say(type="unsubscribed", channel="private:x", code="unauthorized", reason="over")
        assert (await said(peer, "subscribe", 2))["recover"] == {"epoch": "e1", "offset": 1}
        await link.message(2, channel="private:x")
        assert await offsets(private, 2) == [1, 2]
    assert [one["token"] for one in link.of("subscribe")] == ["one", "two"]


async def test_a_subscription_that_is_refused_after_a_reconnect_ends(peer: HubPeer) -> None:
    async def refuses(link: Link, command: dict[str, Any]) -> None:
        await link.refuse(command, "forbidden")

    async with client(peer) as hub, hub.subscribe("builds") as builds:
        peer.answer = refuses
        (await peer.link()).cut()
        with pytest.raises(Refused, match="forbidden"):
            await anext(builds)


async def test_a_channel_is_subscribed_once(peer: HubPeer) -> None:
    async with client(peer) as hub, hub.subscribe("builds"):
        with pytest.raises(ValueError, match="subscribed to builds already"):
            await hub.subscribe("builds").__aenter__()


async def test_leaving_the_client_ends_who_reads(peer: HubPeer) -> None:
    async with asyncio.TaskGroup() as group:
        async with client(peer) as hub:
            subscription = hub.subscribe("builds")
            await subscription.__aenter__()
            reading = group.create_task(_all(subscription))
            await asyncio.sleep(0)
        assert await reading == []
    with pytest.raises(Ended):
        await hub.ping()
    await eventually(lambda: peer.links[0].over)
    assert peer.links[0].code == 1000


async def _all(subscription: Subscription[Any]) -> list[Any]:
    return [event async for event in subscription]


@pytest.mark.parametrize("url", ["hub.example", "ftp://hub.example", "ws://", ""])
def test_a_url_is_one_of_a_hub(url: str) -> None:
    with pytest.raises(ValueError, match="wss://HOST"):
        HubClient(url)
