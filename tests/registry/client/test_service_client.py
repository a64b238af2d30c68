"""ServiceClient: calls as with aiohttp, to whichever instance takes them."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.peers.gateways import eventually
from tests.peers.scripted import Answering
from tests.peers.tls import Authority
from tests.registry.client.instances import (
    NAME,
    Watching,
    answering,
    client,
    hanging,
    instance,
    instances,
    member,
    policy,
    url_of_nobody,
    with_health,
)
from uaitools.errors import ServiceError
from uaitools.registry.client.calls.policy import BALANCES, CallPolicy
from uaitools.registry.client.service_client import ServiceClient
from uaitools.registry.evidence import State
from uaitools.tasks import spawn

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]


@pytest.mark.parametrize("method", METHODS)
async def test_every_method_reaches_the_service(method: str) -> None:
    async with instance() as one, client(one.url) as service:
        async with getattr(service, method.lower())("/v1/chat", params={"n": 1}) as answer:
            assert answer.status == 200
            assert await answer.text() == ("" if method == "HEAD" else "a")
        assert [(call.method, call.path_qs) for call in one.calls] == [(method, "/v1/chat?n=1")]


async def test_a_call_can_be_awaited_as_well() -> None:
    async with instance() as one, client(one.url) as service:
        answer = await service.request("get", "/")

        assert await answer.text() == "a"


async def test_json_goes_out_as_json() -> None:
    async with instance() as one, client(one.url) as service:
        async with service.post("/", json={"messages": ["hi"]}):
            pass

        assert one.bodies == [b'{"messages":["hi"]}']
        assert one.calls[0].content_type == "application/json"


async def test_forms_bytes_and_streams_go_out_as_with_aiohttp() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"one "
        yield b"two"

    async with instance() as one, client(one.url) as service:
        for data in ({"a": "b c"}, b"bytes", pieces()):
            async with service.post("/", data=data):
                pass

        assert one.bodies == [b"a=b+c", b"bytes", b"one two"]


async def test_a_body_is_given_once() -> None:
    async with client(url_of_nobody()) as service:
        with pytest.raises(ValueError, match="by `data` or by `json`"):
            await service.post("/", data=b"a", json={})


@pytest.mark.parametrize("path", ["http://other/", "//other/v1", "v1/chat", "", "?a=b"])
async def test_a_call_names_a_path_and_no_other_place(path: str) -> None:
    async with client(url_of_nobody()) as service:
        with pytest.raises(ValueError, match="a call names a path"):
            service.get(path)


async def test_what_a_call_does_not_take_is_refused() -> None:
    async with client(url_of_nobody()) as service:
        with pytest.raises(TypeError, match="takes no allow_redirects"):
            service.get("/", allow_redirects=True)  # type: ignore[call-arg]
        with pytest.raises(TypeError, match="takes no json"):
            service.ws_connect("/", json={})  # type: ignore[call-arg]


async def test_a_path_is_sent_as_it_was_given() -> None:
    async with instance() as one, client(one.url) as service:
        async with service.get("/a%2Fb/c d?q=%C3%A4&r=1+2"):
            pass

        assert one.calls[0].raw_path == "/a%2Fb/c%20d?q=%C3%A4&r=1+2"


async def test_a_redirect_is_returned_not_followed() -> None:
    elsewhere = answering(307, {"Location": "http://127.0.0.1:1/"})
    async with (
        instance("a", elsewhere) as one,
        client(one.url) as service,
        service.get("/") as answer,
    ):
        assert answer.status == 307


async def test_cookies_are_not_kept() -> None:
    async with instance("a", answering(200, {"Set-Cookie": "a=b"})) as one:
        async with client(one.url) as service:
            for _ in range(2):
                async with service.get("/"):
                    pass

        assert "Cookie" not in one.calls[1].headers


async def test_raise_for_status_raises_as_with_aiohttp() -> None:
    async with instance("a", answering(404)) as one, client(one.url) as service:
        with pytest.raises(aiohttp.ClientResponseError, match="404"):
            await service.get("/", raise_for_status=True)

        assert [e.in_flight for e in service.endpoints] == [0]


async def test_calls_are_shared_out_by_weight() -> None:
    async with instances("ab") as (one, two):
        members = [member(one.url, weight=3), member(two.url)]
        async with client(*members) as service:
            for _ in range(40):
                async with service.get("/"):
                    pass

        assert (len(one.calls), len(two.calls)) == (30, 10)


async def test_a_degraded_instance_gets_half_of_its_weight() -> None:
    async with instances("ab") as (one, two):
        members = [member(one.url), member(two.url, health=State.DEGRADED)]
        async with client(*members) as service:
            for _ in range(30):
                async with service.get("/"):
                    pass

        assert (len(one.calls), len(two.calls)) == (20, 10)


async def test_connections_are_reused() -> None:
    async with instance() as one, client(one.url) as service:
        for _ in range(5):
            async with service.get("/"):
                pass

        assert len(one.connections) == 1


@pytest.mark.parametrize(
    ("limits", "most"),
    [({"connections_per_host": 2}, 2), ({"connections": 3}, 3), ({}, 10)],
)
async def test_who_finds_no_connection_free_waits(limits: dict[str, int], most: int) -> None:
    gate = asyncio.Event()

    async def wait(_: web.Request) -> web.StreamResponse:
        await gate.wait()
        return web.Response()

    async def call(service: ServiceClient) -> int:
        async with service.get("/") as answer:
            return answer.status

    async with instance("a", wait) as one:
        async with client(one.url, policy=policy(**limits)) as service:
            calls = asyncio.gather(*(call(service) for _ in range(most + 5)))
            while one.busy < most:
                one.called.clear()
                await one.called.wait()
            gate.set()

            assert list(await calls) == [200] * (most + 5)

        assert one.peak == most


def test_what_a_client_stands_for_by_default() -> None:
    usual = ServiceClient("x", members=[]).policy

    assert (usual.timeout, usual.connections, usual.connections_per_host, usual.idle) == (
        30.0,
        100,
        10,
        90.0,
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"balance": "consistent_hash"},
        {"balance": "best"},
        {"timeout": 0.0},
        {"connect": -1.0},
        {"connections": 0},
        {"requests": 0},
    ],
)
def test_a_policy_that_could_not_work_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"is one of|over 0|1 at least"):
        CallPolicy(**wrong)


@pytest.mark.parametrize("balance", BALANCES)
async def test_calls_go_to_all_instances_whatever_the_policy(balance: str) -> None:
    async with (
        instances("ab") as (one, two),
        client(one.url, two.url, policy=policy(balance=balance)) as service,
    ):
        await asyncio.gather(*(_text(service) for _ in range(60)))

        assert min(len(one.calls), len(two.calls)) > 5


async def test_a_client_is_started_before_it_calls() -> None:
    service = client(url_of_nobody())

    with pytest.raises(RuntimeError, match="async with ServiceClient"):
        await service.get("/")
    assert "closed" in repr(service)
    with pytest.raises(RuntimeError, match="async with ServiceClient"):
        await ServiceClient("x").get("/")  # nor is it waited for what nobody asks


def test_instances_come_from_one_place() -> None:
    with pytest.raises(ValueError, match="by urls, by a watcher or by members"):
        ServiceClient("x", urls=["http://127.0.0.1:1"], members=[])


@pytest.mark.parametrize(
    "url", ["127.0.0.1:80", "ftp://a:1", "http://a:80/path", "http://u@a:80", "tcp://a:1"]
)
def test_a_member_is_a_base_url(url: str) -> None:
    with pytest.raises(ValueError, match="a member's URL"):
        ServiceClient("x", members=[url])


# -- TLS ------------------------------------------------------------------------------------


async def test_a_member_with_https_is_called_over_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = authority.server(authority.issue("127.0.0.1"))
    async with secure_answering(context) as url:
        async with client(url, tls=authority.client()) as service:
            assert await _text(service) == "ok"
        async with client(url, url_of_nobody()) as distrustful:
            with pytest.raises(ServiceError) as caught:
                await distrustful.post("/")
            assert caught.value.code == 502
            assert distrustful.endpoints[0].breaker.failures == 1


@contextlib.asynccontextmanager
async def secure_answering(context: ssl.SSLContext) -> AsyncIterator[str]:
    server = Answering()
    server.context = context
    await server.start()
    try:
        yield server.url
    finally:
        await server.stop()


# -- views ----------------------------------------------------------------------------------


async def test_a_new_view_is_in_force_from_the_next_call_on() -> None:
    watching = Watching()
    async with instances("ab") as (one, two):
        async with ServiceClient(NAME, watcher=watching) as service:
            watching.say([member(one.url)])
            async with service.get("/") as answer:
                assert await answer.text() == "a"
            watching.say([member(two.url)])
            async with service.get("/") as answer:
                assert await answer.text() == "b"
        assert watching.closed


async def test_what_is_under_way_at_a_draining_instance_finishes() -> None:
    gate, watching = asyncio.Event(), Watching()

    async def slow(_: web.Request) -> web.StreamResponse:
        await gate.wait()
        return web.Response(text="finished")

    async with instance("a", slow) as one, instance("b") as two:
        async with ServiceClient(NAME, watcher=watching) as service:
            first = member(one.url, "1")
            watching.say([first])
            call = spawn(_text(service), name="call")
            await one.called.wait()

            watching.say([with_health(first, State.DRAINING), member(two.url, "2")])
            assert [await _text(service) for _ in range(3)] == ["b", "b", "b"]
            gate.set()

            assert await call == "finished"
        assert len(one.calls) == 1


async def test_who_waits_for_a_connection_to_a_draining_instance_goes_elsewhere() -> None:
    gate, watching = asyncio.Event(), Watching()

    async def slow(_: web.Request) -> web.StreamResponse:
        await gate.wait()
        return web.Response(text="a")

    narrow = policy(connections_per_host=1)
    async with instance("a", slow) as one, instance("b") as two:
        async with ServiceClient(NAME, watcher=watching, policy=narrow) as service:
            first = member(one.url, "1")
            watching.say([first])
            calls = [spawn(_text(service), name="call") for _ in range(20)]
            await one.called.wait()

            watching.say([with_health(first, State.DRAINING), member(two.url, "2")])
            await eventually(lambda: len(two.calls) == 19)  # at once, however long others take
            gate.set()

            assert Counter(await asyncio.gather(*calls)) == {"a": 1, "b": 19}
            assert [e.in_flight for e in service.endpoints] == [0]
        assert len(one.calls) == 1


async def test_a_view_that_is_stale_still_serves_and_says_so() -> None:
    watching = Watching()
    async with instance() as one, ServiceClient(NAME, watcher=watching) as service:
        watching.say([member(one.url)], stale=True)

        assert await _text(service) == "a"
        assert service.view is not None
        assert service.view.stale


async def test_a_call_waits_for_the_first_word_if_told_so() -> None:
    watching = Watching()
    async with instance() as one, ServiceClient(NAME, watcher=watching, wait=5) as service:
        calls = asyncio.gather(_text(service), _text(service))
        await asyncio.sleep(0)
        watching.say([member(one.url)])

        assert list(await calls) == ["a", "a"]


async def test_an_empty_list_that_is_not_sure_is_no_word() -> None:
    watching = Watching()
    async with ServiceClient(NAME, watcher=watching, wait=0.05) as service:
        watching.say([], stale=True)
        with pytest.raises(ServiceError, match="has lost its memory"):
            await service.get("/")
    watching = Watching()
    async with instance() as one, ServiceClient(NAME, watcher=watching, wait=5) as service:
        watching.say([], stale=True)
        call = spawn(_text(service), name="call")
        await asyncio.sleep(0)
        watching.say([member(one.url)])

        assert await call == "a"


async def test_a_call_waits_for_it_no_longer_than_told() -> None:
    async with ServiceClient(NAME, watcher=Watching(), wait=0.05) as service:
        with pytest.raises(ServiceError) as caught:
            await service.get("/")

    assert (caught.value.code, caught.value.service) == (503, NAME)
    assert "no registry has given a list" in caught.value.message


async def test_a_call_waits_for_it_no_longer_than_it_may_take() -> None:
    async with ServiceClient(NAME, watcher=Watching(), wait=60) as service:
        with pytest.raises(ServiceError) as caught:
            await service.get("/", timeout=0.05)

    assert caught.value.code == 503


@pytest.mark.parametrize(
    ("healths", "says"),
    [
        ([], "no instance of the service is registered; start one, or check the name"),
        ([State.CRITICAL, State.CRITICAL, State.DRAINING], "(2 critical, 1 draining)"),
        ([State.STARTING, State.MAINTENANCE], "(1 maintenance, 1 starting)"),
    ],
)
async def test_without_anybody_to_call_the_error_says_what_to_do(
    healths: list[State], says: str
) -> None:
    members = [member(f"http://127.0.0.1:{9000 + i}", health=h) for i, h in enumerate(healths)]
    async with client(*members) as service:
        with pytest.raises(ServiceError) as caught:
            await service.get("/")

    assert (caught.value.code, caught.value.service) == (503, NAME)
    assert says in caught.value.message
    assert "127.0.0.1" not in caught.value.message


async def test_an_instance_of_weight_zero_gets_nothing() -> None:
    async with (
        instances("ab") as (one, two),
        client(member(one.url, weight=0), member(two.url)) as service,
    ):
        assert [await _text(service) for _ in range(4)] == ["b"] * 4


async def test_calls_stay_in_their_zone_while_it_has_enough() -> None:
    async with instances("abc") as (one, two, three):
        members = [
            member(one.url, "1", zone="eu-1"),
            member(two.url, "2", zone="eu-1"),
            member(three.url, "3", zone="eu-2"),
        ]
        watching = Watching()
        async with ServiceClient(NAME, watcher=watching, zone="eu-1", policy=policy()) as service:
            watching.say(members)
            assert await _counts(service, 20) == {"a": 10, "b": 10}

            watching.say([with_health(members[0], State.CRITICAL), *members[1:]])
            assert await _counts(service, 20) == {"b": 20}

            watching.say([with_health(one, State.CRITICAL) for one in members[:2]] + members[2:])
            assert await _counts(service, 20) == {"c": 20}


async def test_calls_spill_over_when_breakers_open_at_home() -> None:
    async with instances("abc") as (one, two, three):
        for failing in (one, two):
            failing.behaviour = answering(500)
        members = [
            member(one.url, zone="eu-1"),
            member(two.url, zone="eu-1"),
            member(three.url, zone="eu-2"),
        ]
        async with client(*members, zone="eu-1") as service:
            for _ in range(10):  # five failures each
                async with service.get("/") as answer:
                    assert answer.status == 500

            assert await _counts(service, 10) == {"c": 10}


async def test_a_suspect_instance_is_called_only_when_nothing_better_is_left() -> None:
    async with (
        instances("ab") as (one, two),
        client(member(one.url), member(two.url, health=State.SUSPECT)) as service,
    ):
        assert await _counts(service, 10) == {"a": 10}
        await one.stop()
        assert await _counts(service, 10) == {"b": 10}


async def test_a_new_registration_at_an_old_address_has_a_fresh_breaker() -> None:
    watching = Watching()
    async with (
        instance("a", answering(500)) as one,
        ServiceClient(NAME, watcher=watching) as service,
    ):
        watching.say([member(one.url, "1", generation=7)])
        for _ in range(5):
            await (await service.get("/")).text()
        with pytest.raises(ServiceError, match="ejected"):
            await service.get("/")
        watching.say([member(one.url, "1", generation=7, weight=5)])
        with pytest.raises(ServiceError, match="ejected"):
            await service.get("/")

        one.behaviour = one.hello
        watching.say([member(one.url, "1", generation=8)])
        assert await _text(service) == "a"


# -- WebSockets -----------------------------------------------------------------------------


async def _echo(request: web.Request) -> web.StreamResponse:
    socket = web.WebSocketResponse(protocols=["chat"])
    await socket.prepare(request)
    async for message in socket:
        await socket.send_str(f"echo {message.data}")
    return socket


async def test_a_websocket_goes_to_an_instance_that_takes_it() -> None:
    async with instance("a", _echo) as one, client(url_of_nobody(), one.url) as service:
        for _ in range(2):
            async with service.ws_connect("/ws", protocols=["chat"]) as socket:
                await socket.send_str("hi")
                assert await socket.receive_str() == "echo hi"
                assert socket.protocol == "chat"
                assert sum(e.in_flight for e in service.endpoints) == 1
        assert [e.in_flight for e in service.endpoints] == [0, 0]


async def test_a_websocket_outlives_the_time_to_open_it() -> None:
    async with (
        instance("a", _echo) as one,
        client(one.url, policy=policy(timeout=0.3)) as service,
        service.ws_connect("/ws") as socket,
    ):
        await asyncio.sleep(0.4)
        await socket.send_str("late")
        assert await socket.receive_str() == "echo late"


async def test_a_websocket_is_offered_to_another_instance_after_a_503() -> None:
    async with (
        instance("a", answering(503)) as one,
        instance("b", _echo) as two,
        client(one.url, two.url) as service,
    ):
        for _ in range(2):
            async with service.ws_connect("/ws") as socket:
                await socket.send_str("hi")
                assert await socket.receive_str() == "echo hi"


async def test_a_websocket_that_is_refused_raises_as_with_aiohttp() -> None:
    async with instance("a", answering(403)) as one, client(one.url) as service:
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            async with service.ws_connect("/ws"):
                pass
        assert [e.in_flight for e in service.endpoints] == [0]


async def test_a_websocket_follows_no_redirect() -> None:
    async with instance("b", _echo) as other:
        away = answering(302, {"Location": f"{other.url}/ws"})
        async with instance("a", away) as one, client(one.url) as service:
            with pytest.raises(aiohttp.WSServerHandshakeError, match="302"):
                async with service.ws_connect("/ws"):
                    pass
        assert other.calls == []


async def test_opening_a_websocket_takes_as_long_as_a_call_at_most() -> None:
    async with instance("a", hanging) as one, client(one.url) as service:
        with pytest.raises(ServiceError) as caught:
            async with service.ws_connect("/ws", timeout=0.1):
                pass
        assert caught.value.code == 504


async def _text(service: ServiceClient) -> str:
    async with service.get("/") as answer:
        return await answer.text()


async def _counts(service: ServiceClient, calls: int) -> Counter[str]:
    return Counter([await _text(service) for _ in range(calls)])
