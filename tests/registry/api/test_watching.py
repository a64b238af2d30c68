"""Lists, long polls, server-sent events and the WebSocket."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise
from typing import Any

import aiohttp
import orjson
import pytest

from tests.peers.gateways import eventually, settled
from tests.registry.served import Answer, Served, served
from uaitools.registry.api import streams
from uaitools.tasks import spawn


async def waiting(registry: Served, path: str) -> asyncio.Task[Answer]:
    """A question that waits at the registry."""
    before = registry.server.api.polls
    task = spawn(registry.ask("GET", path), name="ask")
    await eventually(lambda: registry.server.api.polls > before or task.done())
    return task


async def test_filters_choose_and_the_list_says_what_it_is_of(registry: Served) -> None:
    await registry.register("a", zone="x", version="1", tags=["gpu", "eu"])
    await registry.register("b", zone="y", version="1", tags=["eu"])
    await registry.register("c", zone="y", version="2")
    await registry.heartbeat("c", 3)

    async def ids(query: str) -> list[str]:
        return [one["id"] for one in (await registry.listing(query))["instances"]]

    assert await ids("") == ["c", "a", "b"]
    assert await ids("?zone=y") == ["c", "b"]
    assert await ids("?version=1&zone=y") == ["b"]
    assert await ids("?tag=eu") == ["a", "b"]
    assert await ids("?tag=eu&tag=gpu") == ["a"]
    assert await ids("?health=passing,degraded") == ["c"]
    assert await ids("?health=starting") == ["a", "b"]
    wrong = await registry.ask("GET", "/v1/services/api?health=well")
    assert wrong.status == 422
    assert "critical" in wrong.body["details"][0]["message"]


async def test_a_list_that_has_not_changed_is_not_sent_again(registry: Served) -> None:
    await registry.register()
    first = await registry.ask("GET", "/v1/services/api")
    tag = {"If-None-Match": first.headers["ETag"]}
    again = await registry.ask("GET", "/v1/services/api", headers=tag)
    assert (again.status, again.text) == (304, b"")
    for others in (f'"x", {first.headers["ETag"]}', first.headers["ETag"].removeprefix("W/"), "*"):
        answer = await registry.ask("GET", "/v1/services/api", headers={"If-None-Match": others})
        assert answer.status == 304
    await registry.heartbeat()
    assert (await registry.ask("GET", "/v1/services/api", headers=tag)).status == 200


async def test_a_tag_is_of_the_list_that_was_asked_for_and_of_whether_to_believe_it() -> None:
    async with served(old=False) as registry:
        await registry.register("a", zone="x")
        first = await registry.ask("GET", "/v1/services/api")
        tag = {"If-None-Match": first.headers["ETag"]}
        filtered = await registry.ask("GET", "/v1/services/api?zone=y", headers=tag)
        assert filtered.status == 200
        assert first.body["authoritative"] is False

        task = await waiting(registry, "/v1/services/api?index=1&wait=30s")
        async with registry.session.ws_connect(f"{registry.url}/v1/watch") as socket:
            assert (await watch(socket))["authoritative"] is False
            await registry.pass_time(80)  # and everybody has been heard of
            again = await registry.ask("GET", "/v1/services/api", headers=tag)
            assert (again.status, again.body["authoritative"]) == (200, True)
            assert (await task).body["authoritative"] is True
            told = await socket.receive_json()
            if told["type"] == "put":  # it has fallen silent meanwhile
                told = await socket.receive_json()
            assert (told["type"], told["authoritative"]) == ("list", True)


async def test_lists_of_everything_say_why_nobody_is_there(registry: Served) -> None:
    async def said() -> set[tuple[bool, str | None]]:
        found = [(await registry.ask("GET", f"/v1/{of}")).body for of in ("services", "nodes")]
        return {(one["authoritative"], one["cause"]) for one in found}

    assert await said() == {(True, "unknown")}
    await registry.register("a", ttl=10)
    assert await said() == {(True, None)}
    await registry.ask("DELETE", "/v1/services/a")
    assert await said() == {(True, "deregistered")}
    await registry.register("a", ttl=10)
    await registry.pass_time(80)
    assert await said() == {(False, "expired")}


async def test_services_and_nodes(registry: Served) -> None:
    await registry.register("a")
    await registry.register("b", name="web")
    await registry.register("c", name="web", address="127.0.0.2")
    await registry.heartbeat("c", 3)
    services = (await registry.ask("GET", "/v1/services")).body["services"]
    assert [(one["name"], one["instances"]) for one in services] == [("api", 1), ("web", 2)]
    assert services[1]["health"] == {"starting": 1, "passing": 1}
    nodes = (await registry.ask("GET", "/v1/nodes")).body["nodes"]
    assert [(one["address"], one["instances"]) for one in nodes] == [
        ("127.0.0.1", ["a", "b"]),
        ("127.0.0.2", ["c"]),
    ]


async def test_an_explanation_tells_how_it_came_and_what_comes(registry: Served) -> None:
    await registry.server.registry.following.checker.stop()  # the first check is due at once
    await registry.register(ttl=10)
    await registry.heartbeat()
    await registry.pass_time(11)
    answer = await registry.ask("GET", "/v1/explain/api")
    [found] = answer.body["instances"]
    assert [one["health"] for one in found["timeline"]] == ["starting", "passing", "critical"]
    assert found["witnesses"] == [{"says": "bad", "reason": "no heartbeat for 10 s"}]
    assert [one["what"] for one in found["next"]] == [
        "the tcp check is made",
        "it is removed, unless it is heard of",
    ]
    assert (await registry.ask("GET", "/v1/explain/a")).body["instances"] == [found]
    await registry.register("a-2", name="a")  # a service of that name hides no instance
    both = (await registry.ask("GET", "/v1/explain/a")).body["instances"]
    assert [one["id"] for one in both] == ["a-2", "a"]
    await registry.ask("DELETE", "/v1/services/a")
    [gone] = (await registry.ask("GET", "/v1/explain/a")).body["gone"]
    assert (gone["id"], gone["cause"]) == ("a", "deregistered")
    assert (await registry.ask("GET", "/v1/explain/nobody")).status == 404


async def test_an_explanation_tells_when_checks_are_made_and_protection_ends(
    registry: Served,
) -> None:
    check = {"kind": "tcp", "interval": 0.5, "fall": 30}
    await registry.register("checked", name="web", port=1, checks=[check])
    for name in "abcdef":
        await registry.register(name, ttl=10)
        await registry.heartbeat(name)
    await registry.pass_time(11)
    explained = (await registry.ask("GET", "/v1/explain/api")).body["instances"]
    assert {one["health"] for one in explained} == {"suspect"}
    assert all(
        "that too many are gone protects it no more" in [next_["what"] for next_ in one["next"]]
        for one in explained
    )

    async def counted() -> bool:
        [found] = (await registry.ask("GET", "/v1/explain/web")).body["instances"]
        return any(
            one["what"].startswith("the tcp check is made, after ")
            and one["what"].endswith(" of 30 that failed")
            for one in found["next"]
        )

    await settled(counted)


async def test_a_long_poll_is_answered_when_its_service_changes_and_no_other(
    registry: Served,
) -> None:
    await registry.register("a")
    await registry.register("b", name="web")
    task = await waiting(registry, "/v1/services/api?index=1&wait=30s")
    await registry.heartbeat("b", 2)
    await registry.ask("GET", "/v1/services")
    assert not task.done()
    await registry.heartbeat("a", 1)
    body = (await task).body
    assert body["index"] == 2
    assert body["instances"][0]["health"] == "passing"


async def test_a_long_poll_that_is_behind_is_answered_at_once(registry: Served) -> None:
    await registry.register()
    await registry.heartbeat()
    began = time.monotonic()
    assert (await registry.listing("?index=1&wait=30s"))["index"] == 2
    assert (await registry.listing("?index=9&wait=30s"))["index"] == 2
    assert (await registry.listing("?index=2&epoch=other&wait=30s"))["index"] == 2
    assert time.monotonic() - began < 5


async def test_a_long_poll_ends_after_its_wait_with_the_index_it_had(registry: Served) -> None:
    await registry.register()
    body = await registry.listing("?index=1&wait=200ms")
    assert body["index"] == 1
    assert (await registry.ask("GET", "/v1/services/api?index=1&wait=-1")).status == 422
    assert (await registry.ask("GET", "/v1/services/api?index=1&wait=soon")).status == 422


async def test_who_asked_together_is_not_answered_together(registry: Served) -> None:
    await registry.register()

    async def answered() -> float:
        await registry.listing("?index=1&wait=1s")
        return time.monotonic()

    moments = await asyncio.gather(*(answered() for _ in range(12)))
    assert max(moments) - min(moments) > 0.02  # of 0.0625; all but never less by chance


async def test_who_waits_for_a_service_that_is_not_there_yet_is_told_when_it_is(
    registry: Served,
) -> None:
    task = await waiting(registry, "/v1/services/api?index=0&wait=30s")
    await registry.register()
    assert (await task).body["index"] == 1


async def test_a_registry_that_stops_answers_who_waits(registry: Served) -> None:
    await registry.register()
    task = await waiting(registry, "/v1/services/api?index=1&wait=300s")
    async with registry.session.ws_connect(f"{registry.url}/v1/watch") as socket:
        await socket.send_json({"type": "watch", "service": "api"})
        assert (await socket.receive_json())["type"] == "list"
        drained = spawn(registry.server.drain(0.0), name="ask")
        assert (await task).body["index"] == 1
        ended = await socket.receive()
        assert ended.type is aiohttp.WSMsgType.CLOSE
        assert ended.data == aiohttp.WSCloseCode.GOING_AWAY
    await registry.session.close()
    await drained


# -- WebSocket ------------------------------------------------------------------------------


async def watch(socket: aiohttp.ClientWebSocketResponse, **fields: object) -> dict[str, Any]:
    await socket.send_json({"type": "watch", "service": "api", **fields})
    message: dict[str, Any] = await socket.receive_json()
    return message


async def test_a_watcher_gets_the_list_and_then_changes(registry: Served) -> None:
    await registry.register("a")
    async with registry.session.ws_connect(f"{registry.url}/v1/watch") as socket:
        first = await watch(socket)
        assert (first["type"], first["index"]) == ("list", 1)
        assert first["instances"][0]["id"] == "a"
        await registry.heartbeat("a", 1)
        await registry.register("b")
        await registry.ask("DELETE", "/v1/services/a")
        changes = [await socket.receive_json() for _ in range(3)]
        assert [(one["type"], one["index"]) for one in changes] == [
            ("put", 2),
            ("put", 3),
            ("remove", 4),
        ]
        assert changes[0]["instance"]["health"] == "passing"
        assert (changes[2]["id"], changes[2]["cause"]) == ("a", "deregistered")
        assert {one["epoch"] for one in changes} == {first["epoch"]}


async def test_a_watcher_that_comes_again_gets_what_it_has_missed(registry: Served) -> None:
    await registry.register("a")
    async with registry.session.ws_connect(f"{registry.url}/v1/watch") as socket:
        first = await watch(socket)
    await registry.heartbeat("a", 1)
    async with registry.session.ws_connect(f"{registry.url}/v1/watch") as socket:
        missed = await watch(socket, index=first["index"], epoch=first["epoch"])
        assert (missed["type"], missed["index"]) == ("put", 2)
    for known in ({"index": 1, "epoch": "other"}, {"index": 1}, {"index": 99}):
        async with registry.session.ws_connect(f"{registry.url}/v1/watch") as socket:
            assert (await watch(socket, **known))["type"] == "list"


async def test_a_watcher_of_a_service_that_expired_is_told_when_its_list_is_to_be_believed(
    registry: Served,
) -> None:
    await registry.register("a", ttl=10)
    await registry.pass_time(80)
    async with registry.session.ws_connect(f"{registry.url}/v1/watch") as socket:
        assert (await watch(socket))["authoritative"] is False
        await registry.register("b")
        told = [await socket.receive_json() for _ in range(2)]
        assert [one["type"] for one in told] == ["put", "list"]
        assert told[1]["authoritative"] is True


async def test_a_chatty_service_wakes_nobody_else(registry: Served) -> None:
    await registry.register("a")
    await registry.register("b", name="web")
    async with registry.session.ws_connect(f"{registry.url}/v1/watch") as socket:
        await watch(socket)
        for weight in range(2, 50):
            await registry.ask("PATCH", "/v1/services/b", {"weight": weight})
        await registry.heartbeat("a", 1)
        assert (await socket.receive_json())["service"] == "api"


async def test_an_unwatched_service_is_told_no_more(registry: Served) -> None:
    await registry.register("a")
    async with registry.session.ws_connect(f"{registry.url}/v1/watch") as socket:
        await watch(socket)
        await socket.send_json({"type": "unwatch", "service": "api"})
        await socket.send_json({"type": "watch", "service": "web"})
        assert (await socket.receive_json())["service"] == "web"
        await registry.heartbeat("a", 1)
        await registry.register("b", name="web")
        assert (await socket.receive_json())["service"] == "web"


async def test_a_watcher_s_word_counts_for_drains(registry: Served) -> None:
    await registry.register("a")
    async with registry.session.ws_connect(f"{registry.url}/v1/watch") as socket:
        await socket.send_json({"type": "hello", "watcher": "gw-1"})
        await watch(socket)
        drain = (await registry.ask("POST", "/v1/services/a/drain", {})).body
        assert drain["behind"] == ["gw-1"]
        put = await socket.receive_json()
        assert put["instance"]["health"] == "draining"
        await socket.send_json({"type": "applied", "service": "api", "index": put["index"]})
        waiting = spawn(registry.ask("GET", "/v1/services/a/drain?wait=10s"), name="ask")
        await registry.heartbeat("a", 1)  # before that nobody knows whether it tells its load
        assert (await waiting).body["safe"] is True


async def test_a_watcher_that_loses_its_connection_still_counts_and_one_that_leaves_does_not(
    registry: Served,
) -> None:
    await registry.register("a")
    for name, leaves in (("lost", False), ("left", True)):
        async with registry.session.ws_connect(f"{registry.url}/v1/watch") as socket:
            await socket.send_json({"type": "hello", "watcher": name})
            await watch(socket)
            if leaves:
                await socket.send_json({"type": "unwatch", "service": "api"})
                await socket.send_json({"type": "watch", "service": "web"})
                await socket.receive_json()
    drain = (await registry.ask("POST", "/v1/services/a/drain", {})).body
    assert drain["behind"] == ["lost"]


async def test_a_watcher_s_observations_count(registry: Served) -> None:
    await registry.register("a")
    await registry.heartbeat("a", 1)
    async with registry.session.ws_connect(f"{registry.url}/v1/watch") as socket:
        await watch(socket)
        seen = {"id": "a", "generation": 1, "requests": 3, "failures": 3, "connect_errors": 3}
        await socket.send_json({"type": "observed", "observations": [seen]})
        assert (await socket.receive_json())["instance"]["health"] == "suspect"


@pytest.mark.parametrize(
    "message",
    [
        "no json",
        "[]",
        "{}",
        '{"type": "shout"}',
        '{"type": "watch"}',
        '{"type": "watch", "service": "a/b"}',
        '{"type": "applied", "service": "api", "index": -1}',
        '{"type": "applied", "service": "api", "index": 99999999999999999999}',
    ],
)
async def test_a_wrong_message_is_complained_about_and_the_stream_goes_on(
    registry: Served, message: str
) -> None:
    await registry.register("a")
    async with registry.session.ws_connect(f"{registry.url}/v1/watch") as socket:
        await socket.send_str(message)
        complaint = await socket.receive_json()
        assert (complaint["type"], complaint["code"]) == ("error", 422)
        assert (await watch(socket))["type"] == "list"


async def test_a_watcher_that_does_not_read_costs_nothing_and_gets_the_list_later(
    registry: Served,
) -> None:
    await registry.register("a", meta={"k": "v" * 200})
    async with registry.session.ws_connect(f"{registry.url}/v1/watch") as socket:
        await watch(socket)
        for number in range(400):  # more than deltas are kept
            await registry.ask("PATCH", "/v1/services/a", {"meta": {"k": f"{number}" * 60}})
        seen = [await socket.receive_json()]
        while seen[-1]["index"] < 401:
            seen.append(await socket.receive_json())
        assert all(one["index"] > before["index"] for before, one in pairwise(seen))


# -- server-sent events ---------------------------------------------------------------------


async def event(response: aiohttp.ClientResponse) -> tuple[str, str, dict[str, Any]]:
    """The next event: its kind, its identity, its data."""
    lines: list[str] = []
    while (line := (await response.content.readline()).decode().rstrip("\n")) or not lines:
        if line and not line.startswith(":"):
            lines.append(line)
    fields = dict(line.split(": ", 1) for line in lines)
    return fields["event"], fields["id"], orjson.loads(fields["data"])


async def test_server_sent_events_tell_the_same(registry: Served) -> None:
    await registry.register("a")
    await registry.register("b", name="web")
    url = f"{registry.url}/v1/watch?service=api&service=web"
    async with registry.session.get(url) as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        first, second = await event(response), await event(response)
        assert [first[0], second[0]] == ["list", "list"]
        await registry.heartbeat("a", 1)
        kind, identity, data = await event(response)
        assert (kind, data["service"], data["index"]) == ("put", "api", 2)
    await registry.heartbeat("b", 2)
    async with registry.session.get(url, headers={"Last-Event-ID": identity}) as response:
        kind, _, data = await event(response)
        assert (kind, data["service"], data["index"]) == ("put", "web", 2)


async def test_watchers_of_a_registry_that_was_cut_off_for_long_go_elsewhere(
    registry: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "PING", 0.3)
    await registry.register("a")
    registry.server.registry.store.adrift = True  # type: ignore[misc]
    async with (
        registry.session.ws_connect(f"{registry.url}/v1/watch") as socket,
        registry.session.get(f"{registry.url}/v1/watch?service=api") as events,
    ):
        await socket.send_json({"type": "watch", "service": "api"})
        listed = await socket.receive_json(timeout=5)
        assert listed["type"] == "list"  # better than nothing
        assert (await socket.receive(timeout=5)).data == aiohttp.WSCloseCode.GOING_AWAY
        async with asyncio.timeout(5):
            text = await events.text()
        assert "event: list" in text


async def test_an_event_identity_that_is_none_is_no_harm(registry: Served) -> None:
    await registry.register("a")
    for identity in ("x", "api=1", "api=e:x", "api=e:99999999999999999999", ",,=:"):
        async with registry.session.get(
            f"{registry.url}/v1/watch?service=api", headers={"Last-Event-ID": identity}
        ) as response:
            assert (await event(response))[0] == "list"
