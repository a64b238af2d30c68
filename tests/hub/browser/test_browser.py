"""The JavaScript client in Chromium and Node, against real hubs and scripted ones."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from tests.peers import filters as drawn
from tests.peers.gateways import eventually
from tests.peers.hub import HubPeer, Link, usual
from tests.peers.hubs import SECRET, boxed, grant, hub, keyed, publisher
from tests.peers.javascript import SOURCE, Failed, Runtime, until
from tests.peers.middlebox import middlebox
from tests.peers.redis import redis_server
from uaitools.hub.filters import compile_filter
from uaitools.tasks import spawn

RECORD = """
globalThis.seen = [];
globalThis.offsets = () => seen.filter(([kind]) => kind === "message").map(([, one]) => one.offset);
globalThis.record = Object.fromEntries(["Message", "Gap", "Reset", "Presence"].map(
  (name) => [`on${name}`, (event) => seen.push([name.toLowerCase(), event])]));
record.onEnd = (error) => seen.push(["end", {code: error.code, closeCode: error.closeCode}]);
"""


async def client(runtime: Runtime, url: str, **options: object) -> None:
    """`hub` there is a client, and `sub` its subscription to builds, recorded in `seen`."""
    await runtime.run(
        f"{RECORD} globalThis.hub = new lib.HubClient({json.dumps(url)}, {json.dumps(options)});"
        "globalThis.sub = hub.subscribe('builds', record);"
    )


async def close(runtime: Runtime) -> None:
    await runtime.run("hub.close()")


async def test_messages_commands_and_presence(runtime: Runtime) -> None:
    async with hub() as server:
        await client(runtime, f"ws://{server.address}/ws")
        await runtime.run("await sub.ready")
        place = await runtime.run("return await hub.publish('builds', {n: 1}, {type: 'done'})")
        await until(runtime, "seen.length === 1")
        [[kind, message]] = await runtime.run("return seen")
        assert kind == "message"
        assert (message["type"], message["data"]) == ("done", {"n": 1})
        assert {"epoch": message["epoch"], "offset": message["offset"]} == place
        page = await runtime.run("return await hub.history('builds', {limit: 5})")
        assert [one["data"] for one in page["messages"]] == [{"n": 1}]
        assert (await runtime.run("return await hub.presence('builds')"))["connections"] == 1
        with pytest.raises(Failed, match="unknown_type"):
            await runtime.run("return await hub.call('sing', {})")
        await runtime.run("await sub.unsubscribe()")
        await runtime.run("await hub.publish('builds', 2)")
        await close(runtime)
        assert await runtime.run("return seen.length") == 1
        await eventually(lambda: not server.hub.sessions)


async def test_own_commands_are_answered(runtime: Runtime) -> None:
    async with hub() as server:

        async def translate(_session: object, data: Any) -> Any:
            return {"said": data["text"].upper()}

        server.hub.command("translate")(translate)
        await client(runtime, f"ws://{server.address}/ws")
        found = await runtime.run("return await hub.call('translate', {text: 'a'})")
        assert found == {"said": "A"}
        await close(runtime)


async def test_after_a_cut_nothing_is_missing_or_comes_twice(runtime: Runtime) -> None:
    async with boxed() as (server, box):
        await client(runtime, f"ws://{box.host}/ws")
        await runtime.run("await sub.ready")
        for number in range(3):
            await server.hub.publish("builds", number)
        await until(runtime, "seen.length === 3")
        box.deaf = True
        box.cut()
        await until(runtime, "hub.transport === null")
        for number in range(3, 10):
            await server.hub.publish("builds", number)
        box.deaf = False
        await until(runtime, "seen.length === 10")
        assert await runtime.run("return offsets()") == list(range(1, 11))
        await close(runtime)


async def test_what_was_pushed_out_is_a_gap(runtime: Runtime) -> None:
    async with boxed(channels=[{"match": "builds", "history": 4}]) as (server, box):
        await client(runtime, f"ws://{box.host}/ws")
        await runtime.run("await sub.ready")
        await server.hub.publish("builds", 0)
        await until(runtime, "seen.length === 1")
        box.deaf = True
        box.cut()
        await until(runtime, "hub.transport === null")
        for number in range(1, 20):
            await server.hub.publish("builds", number)
        box.deaf = False
        await until(runtime, "seen.length > 1")
        kind, gap = (await runtime.run("return seen"))[1]
        assert (kind, gap["from"], gap["to"]) == ("gap", 2, 20)
        await server.hub.publish("builds", 20)
        await until(runtime, "offsets().includes(21)")
        await close(runtime)


async def test_a_hub_that_restarts_resets_and_goes_on(runtime: Runtime) -> None:
    async with boxed() as (server, box):
        await client(runtime, f"ws://{box.host}/ws")
        await runtime.run("await sub.ready")
        await server.hub.publish("builds", 1)
        await until(runtime, "seen.length === 1")
        async with hub() as other:
            await other.hub.publish("builds", 1)
            box.target = other.address.port
            await server.stop()
            await until(runtime, "seen.length === 2")
            assert (await runtime.run("return seen"))[1][0] == "reset"
            await other.hub.publish("builds", 2)
            await until(runtime, "seen.length === 3")
            await close(runtime)


async def test_a_hub_that_drains_is_left_when_it_says_so(runtime: Runtime) -> None:
    async with boxed() as (server, box), hub() as other:
        await client(runtime, f"ws://{box.host}/ws")
        await runtime.run("await sub.ready")
        box.target = other.address.port
        await server.drain(_soon())
        await until(runtime, "seen.length === 1")  # these two share no history: a reset
        await other.hub.publish("builds", 1)
        await until(runtime, "offsets().length === 1")
        assert len(other.hub.sessions) == 1
        await close(runtime)


async def test_nodes_that_share_are_left_without_a_loss_or_anything_twice(
    runtime: Runtime, tmp_path: Path
) -> None:
    async with (
        redis_server(tmp_path) as redis,
        hub(redis=redis.url) as one,
        hub(redis=redis.url) as two,
        middlebox(one.address.port) as box,
    ):
        await client(runtime, f"ws://{box.host}/ws")
        await runtime.run("await sub.ready")
        for number in range(50):
            await one.hub.publish("builds", number)
        box.target = two.address.port
        draining = spawn(one.drain(_soon()), name="drain")
        for number in range(50, 150):
            await two.hub.publish("builds", number)
        await draining
        await eventually(lambda: len(two.hub.sessions) == 1)
        await two.hub.publish("builds", 150)
        await until(runtime, "seen.length === 151")
        assert await runtime.run("return offsets()") == list(range(1, 152))
        await close(runtime)


async def test_moving_to_another_node_loses_nothing_and_gives_nothing_twice(
    runtime: Runtime, peer: HubPeer
) -> None:
    await client(runtime, peer.url)
    await runtime.run("await sub.ready")
    first = await peer.link()
    await first.message(1)
    await until(runtime, "seen.length === 1")
    asked: list[dict[str, Any]] = []

    async def waits(_link: Link, command: dict[str, Any]) -> None:
        asked.append(command)

    peer.answer = waits
    await first.say(type="reconnect", after_ms=1)
    await eventually(lambda: asked)
    second = await peer.link(2)
    assert asked[0]["recover"] == {"epoch": "e1", "offset": 1}
    await first.message(2)  # the old one is heard until the new one has answered
    await until(runtime, "seen.length === 2")
    await second.subscribed(asked[0], 1, recovered=True)
    for offset in (2, 3, 5):
        await second.message(offset)
    await until(runtime, "seen.length === 4")
    await eventually(lambda: first.over)
    assert first.code == 1000
    assert await runtime.run("return offsets()") == [1, 2, 3, 5]
    await close(runtime)


async def test_as_many_commands_as_one_likes_are_given_no_faster_than_the_hub_takes_them(
    runtime: Runtime,
) -> None:
    async with hub(rate=200, burst=20) as server:
        await client(runtime, f"ws://{server.address}/ws")
        await runtime.run("await sub.ready")
        offsets = await runtime.run(
            "const all = [...Array(150).keys()].map((one) => hub.publish('builds', one));"
            "return (await Promise.all(all)).map((place) => place.offset)"
        )
        assert offsets == list(range(1, 151))
        assert server.hub.closed == {}
        await close(runtime)


async def test_a_hub_that_sends_it_elsewhere_without_a_time_is_left_with_pauses(
    runtime: Runtime, peer: HubPeer
) -> None:
    await client(runtime, peer.url)
    await runtime.run("await sub.ready")
    await (await peer.link()).say(type="reconnect", after_ms="soon")
    second = await peer.link(2)
    await second.say(type="reconnect")
    await peer.link(3)
    await asyncio.sleep(0.3)
    assert len(peer.links) <= 4
    await close(runtime)


@pytest.mark.parametrize("code", [4001, 4003])
async def test_codes_that_say_so_end_the_client(runtime: Runtime, peer: HubPeer, code: int) -> None:
    await client(runtime, peer.url)
    await runtime.run("await sub.ready")
    await (await peer.link()).socket.close(code=code)
    await until(runtime, "seen.length === 1")
    assert await runtime.run("return seen") == [["end", {"code": "ended", "closeCode": code}]]
    with pytest.raises(Failed, match="refuses this client"):
        await runtime.run("await hub.publish('builds', 1)")
    assert len(peer.links) == 1


async def test_a_publish_is_repeated_only_if_the_caller_says_so(
    runtime: Runtime, peer: HubPeer
) -> None:
    async def cuts(link: Link, command: dict[str, Any]) -> None:
        if command["type"] != "publish":
            await usual(link, command)
            return
        peer.answer = usual
        link.cut()

    peer.answer = cuts
    await client(runtime, peer.url)
    with pytest.raises(Failed, match="interrupted"):
        await runtime.run("await hub.publish('builds', 1)")
    peer.answer = cuts
    await runtime.run("await hub.publish('builds', 1, {retry: true})")
    await close(runtime)


async def test_a_hub_that_is_away_is_told_in_time(runtime: Runtime, peer: HubPeer) -> None:
    peer.refuses = 503
    await client(runtime, peer.url, timeout=100)
    with pytest.raises(Failed, match="unreachable"):
        await runtime.run("await hub.publish('builds', 1)")
    await close(runtime)


async def test_a_silent_hub_is_asked_whether_it_lives(runtime: Runtime, peer: HubPeer) -> None:
    assert peer.greeting is not None
    peer.greeting["ping"] = 0.05
    await client(runtime, peer.url, grace=200)
    link = await peer.link()
    await eventually(lambda: len(link.of("ping")) >= 2)
    assert len(peer.links) == 1

    async def silent(_link: Link, _command: dict[str, Any]) -> None:
        """Nothing is heard of it any more."""

    peer.answer = silent
    await peer.link(2)
    await close(runtime)


async def test_what_an_application_throws_does_not_stop_the_messages(
    runtime: Runtime, peer: HubPeer
) -> None:
    await client(runtime, peer.url)
    await runtime.run("sub.options.onMessage = (one) => { seen.push(one); throw new Error('x'); };")
    link = await peer.link()
    await eventually(lambda: link.of("subscribe"))
    for offset in (1, 2):
        await link.message(offset)
    await until(runtime, "seen.length === 2")
    await close(runtime)


async def test_a_browser_says_its_credential_by_connect(runtime: Runtime, tmp_path: Path) -> None:
    key, auth = publisher(tmp_path)
    async with hub(auth=auth) as server:
        await client(runtime, f"ws://{server.address}/ws", token=key)
        await runtime.run("await sub.ready")
        await runtime.run("await hub.publish('builds', 1)")
        await until(runtime, "seen.length === 1")
        await close(runtime)
        await client(runtime, f"ws://{server.address}/ws", token="wrong")
        await until(runtime, "seen.length === 1")
        assert (await runtime.run("return seen"))[0][1]["closeCode"] == 4001


# -- without WebSockets ---------------------------------------------------------------------------


async def test_events_take_over_where_websockets_cannot_be_opened(page: Runtime) -> None:
    async with boxed() as (server, box):
        await client(page, f"ws://{box.host}/ws", fallbackAfter=2, timeout=3000)
        await page.run("await sub.ready")
        await server.hub.publish("builds", 1)
        await until(page, "seen.length === 1")
        box.upgrades = False
        box.cut()
        await until(page, "hub.transport === null")
        for number in range(2, 5):
            await server.hub.publish("builds", number)
        await until(page, "hub.transport === 'events'")
        await until(page, "seen.length === 4")
        await page.run("globalThis.sub2 = hub.subscribe('other', record); await sub2.ready")
        await server.hub.publish("other", 1)
        await server.hub.publish("builds", 5)
        await until(page, "seen.length === 6")
        box.cut()  # also events go on where they were
        await until(page, "hub.transport === null")
        await server.hub.publish("builds", 6)
        await until(page, "seen.length === 7")
        found = await page.run("return seen.map(([, one]) => [one.channel, one.offset])")
        assert sorted(found) == [*(["builds", offset] for offset in range(1, 7)), ["other", 1]]
        with pytest.raises(Failed, match="unreachable"):
            await page.run("await hub.publish('builds', 1)")
        await close(page)


async def test_it_comes_back_to_websockets(page: Runtime) -> None:
    async with boxed() as (server, box):
        box.upgrades = False
        await client(page, f"ws://{box.host}/ws", fallbackAfter=1, upgradeEvery=100)
        await until(page, "hub.transport === 'events'")
        await server.hub.publish("builds", 1)
        await until(page, "seen.length === 1")
        box.upgrades = True
        assert (await page.run("return await hub.publish('builds', 2)"))["offset"] == 2
        await until(page, "seen.length === 2")
        assert await page.run("return [hub.transport, ...offsets()]") == ["websocket", 1, 2]
        await eventually(lambda: len(server.hub.sessions) == 1)
        await close(page)


async def test_events_are_filtered_as_messages_are(page: Runtime) -> None:
    async with boxed() as (server, box):
        box.upgrades = False
        await client(page, f"ws://{box.host}/ws", fallbackAfter=1)
        await page.run(
            "await sub.unsubscribe();"
            "globalThis.sub = hub.subscribe('builds', {...record, filter: {eq: ['repo.id', 12]}});"
            "await sub.ready"
        )
        for data in ({"repo": {"id": 12}}, {"repo": {"id": 13}}, {"repo": {"id": 12}}):
            await server.hub.publish("builds", data)
        await until(page, "seen.length === 2")
        assert await page.run("return offsets()") == [1, 3]
        await close(page)


async def test_private_channels_come_as_events_too(page: Runtime, tmp_path: Path) -> None:
    key, user, auth = keyed(tmp_path)
    async with boxed(auth=auth, token_secret=SECRET) as (server, box):
        await client(page, f"ws://{box.host}/ws", token=key, fallbackAfter=1)
        await page.run(
            f"globalThis.given = {json.dumps(grant(user, 'private:x'))};"
            "globalThis.own = hub.subscribe('private:x', {...record, token: async () => given});"
            "await own.ready"
        )
        await server.hub.publish("private:x", 1)
        await until(page, "seen.length === 1")
        box.upgrades = False
        box.cut()
        await until(page, "hub.transport === null")
        await server.hub.publish("private:x", 2)
        await until(page, "seen.length === 2")
        assert await page.run("return [hub.transport, ...offsets()]") == ["events", 1, 2]
        await close(page)


async def test_a_broadcast_does_not_disturb_events(page: Runtime) -> None:
    async with boxed() as (server, box):
        box.upgrades = False
        await client(page, f"ws://{box.host}/ws", fallbackAfter=1)
        await page.run("await sub.ready")
        await server.hub.publish("all", "to everybody")
        await server.hub.publish("builds", 1)
        await until(page, "seen.length === 1")
        assert await page.run("return seen[0][1].channel") == "builds"
        await close(page)


async def test_filters_mean_there_what_they_mean_here(page: Runtime) -> None:
    cases: list[tuple[Any, Any, bool]] = []

    @settings(max_examples=500, database=None)
    @given(drawn.filters, drawn.data | drawn.documents)
    def collect(filter_: Any, data: Any) -> None:
        cases.append((filter_, data, compile_filter(filter_).wants(data)))

    collect()
    given_ = json.dumps([[one, data] for one, data, _ in cases])
    found = await page.run(f"return {given_}.map(([filter, data]) => lib.wants(filter, data))")
    assert [case for case, there in zip(cases, found, strict=True) if case[2] != there] == []


async def test_the_bound_of_pauses_doubles_up_to_thirty_seconds(runtime: Runtime) -> None:
    found = await runtime.run("return [0, 1, 5, 6, 99].map((one) => lib.fullJitter(one, 1))")
    assert found == [500, 1000, 16_000, 30_000, 30_000]


def test_the_client_is_one_file_of_its_own() -> None:
    text = SOURCE.read_text()
    assert "import " not in text.split("*/", 1)[1]


def _soon() -> float:
    return asyncio.get_running_loop().time() + 5
