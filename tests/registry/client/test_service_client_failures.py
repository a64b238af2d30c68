"""ServiceClient when instances fail: what is tried again, where, and what the caller is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from time import monotonic
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.peers.scripted import answer, hang, upstream
from tests.peers.scripted import answering as scripted
from tests.peers.stopwatch import stopwatch
from tests.peers.wire import Wire
from tests.registry.client.instances import (
    NAME,
    answering,
    client,
    hanging,
    instance,
    instances,
    policy,
    url_of_nobody,
)
from uaitools.errors import ServiceError
from uaitools.registry.client.service_client import ServiceClient
from uaitools.tasks import spawn
from uaitools.traffic.breaker import BreakerPolicy, State
from uaitools.traffic.retry import RetryPolicy

KEY = {"Idempotency-Key": "1"}


async def failing(service: ServiceClient, method: str = "GET", **options: Any) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        await service.request(method, "/", **options)
    assert caught.value.service == NAME
    assert "127.0.0.1" not in caught.value.message
    return caught.value


async def text(service: ServiceClient, method: str = "GET", **options: Any) -> str:
    async with service.request(method, "/", **options) as got:
        return await got.text()


def in_flight(service: ServiceClient) -> int:
    return sum(endpoint.in_flight for endpoint in service.endpoints)


# -- what never left ------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_a_refused_connection_is_tried_elsewhere_whatever_the_method(method: str) -> None:
    async with instance() as one, client(url_of_nobody(), one.url) as service:
        assert [await text(service, method) for _ in range(4)] == ["a"] * 4
        assert service.retries >= 1
        assert in_flight(service) == 0


async def test_a_service_that_refuses_all_connections_is_a_502() -> None:
    async with client(url_of_nobody(), url_of_nobody()) as service:
        error = await failing(service)

    assert error.code == 502
    assert isinstance(error.__cause__, aiohttp.ClientConnectorError)


async def test_after_three_refused_connections_an_instance_is_left_alone() -> None:
    async with instance() as one, client(url_of_nobody(), one.url) as service:
        for _ in range(20):
            await text(service)

        assert service.retries == 3
        assert service.endpoints[0].breaker.state is State.EJECTED


async def test_a_host_that_accepts_nobody_is_given_up_after_the_time_to_connect() -> None:
    # A full backlog: the kernel answers no further SYN.
    import socket  # noqa: PLC0415

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        patient = policy(connect=0.2)
        async with (
            instance() as one,
            client(f"http://127.0.0.1:{port}", one.url, policy=patient) as service,
        ):
            assert await text(service, "POST") == "a"
            assert service.endpoints[0].breaker.failures == 1
        for filler in fillers:
            filler.close()


async def test_waiting_for_a_free_connection_is_not_held_against_the_instance() -> None:
    async with instance("a", hanging) as one:
        narrow = policy(connections_per_host=1, timeout=0.2)
        async with client(one.url, policy=narrow) as service:
            first = spawn(failing(service, timeout=5), name="first")
            await one.called.wait()
            error = await failing(service)
            first.cancel()

            assert error.code == 504
            assert service.endpoints[0].breaker.failures == 0


# -- connections that had ended -------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_instance_that_has_restarted_is_called_as_if_nothing_had_been(method: str) -> None:
    async with instance() as one, client(one.url) as service:
        assert await text(service, method) == "a"
        await one.stop()
        await one.start()
        await asyncio.sleep(0)

        assert await text(service, method) == "a"
        assert service.endpoints[0].breaker.failures == 0


async def _once_a_connection(wire: Wire) -> None:
    """Answer a request, and end the connection as the next one comes."""
    await wire.message()
    wire.send(answer(b"ok"))
    await wire.head()
    wire.reset()


async def test_an_idle_connection_that_ends_as_it_is_used_costs_no_retry() -> None:
    async with upstream(_once_a_connection) as peer, client(peer.url) as service:
        for _ in range(6):
            assert await text(service) == "ok"

        assert service.retries == 0
        assert service.endpoints[0].breaker.failures == 0


async def test_what_may_have_been_acted_on_is_not_sent_twice() -> None:
    async with upstream(_once_a_connection) as peer, client(peer.url) as service:
        assert await text(service, "POST") == "ok"
        error = await failing(service, "POST")

        assert error.code == 502
        assert peer.received.count(b"POST") == 2
        assert service.endpoints[0].breaker.failures == 0
        assert await text(service, "POST", headers=KEY) == "ok"


# -- resets and nonsense --------------------------------------------------------------------


async def _reset(wire: Wire) -> None:
    await wire.head()
    wire.reset()


async def _end(wire: Wire) -> None:
    await wire.head()
    wire.close()


async def _nonsense(wire: Wire) -> None:
    await wire.head()
    wire.send(b"SMTP ready\r\n\r\n")


BREAKING = [_reset, _end, _nonsense]


@pytest.mark.parametrize("script", BREAKING)
async def test_a_broken_answer_is_asked_for_elsewhere_if_that_does_no_harm(script: Any) -> None:
    async with (
        upstream(script) as peer,
        instance() as one,
        client(peer.url, one.url) as service,
    ):
        assert await text(service) == "a"
        assert await text(service, "POST", headers=KEY) == "a"
        assert (await failing(service, "POST")).code == 502
        assert service.endpoints[0].breaker.failures >= 2
        assert in_flight(service) == 0


@pytest.mark.parametrize("script", BREAKING)
async def test_one_instance_is_not_asked_again_what_it_has_just_broken(script: Any) -> None:
    async with upstream(script) as peer, client(peer.url) as service:
        assert (await failing(service)).code == 502
        assert len(peer.wires) == 1


async def _truncated(wire: Wire) -> None:
    await wire.head()
    wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    wire.reset()


async def test_an_answer_that_breaks_off_is_an_error_where_it_is_read_and_a_failure() -> None:
    async with upstream(_truncated) as peer, client(peer.url) as service:
        with pytest.raises(aiohttp.ClientError):
            await text(service)

        assert service.endpoints[0].breaker.failures == 1
        assert in_flight(service) == 0


# -- silence --------------------------------------------------------------------------------


async def test_what_hangs_is_asked_elsewhere_with_the_time_that_is_left() -> None:
    async with (
        instance("a", hanging) as one,
        instance("b") as two,
        client(one.url, two.url, policy=policy(timeout=0.6)) as service,
    ):
        began = monotonic()
        with stopwatch() as watch:
            assert await text(service) == "b"
        assert monotonic() - began > 0.25
        assert watch.seconds < 0.6
        assert service.endpoints[0].breaker.failures == 1
        assert int(two.calls[0].headers["X-Request-Timeout"]) < 310


async def test_what_hangs_and_may_have_been_acted_on_is_waited_for_to_the_end() -> None:
    async with (
        instance("a", hanging) as one,
        instance("b") as two,
        client(one.url, two.url, policy=policy(timeout=0.3)) as service,
    ):
        error = await failing(service, "POST")

        assert error.code == 504
        assert not two.calls
        assert service.endpoints[0].breaker.failures == 1


async def test_the_time_for_a_first_byte_can_be_set() -> None:
    patient = policy(first_byte=0.1)
    async with (
        instance("a", hanging) as one,
        instance("b") as two,
        client(one.url, two.url, policy=patient) as service,
    ):
        assert await text(service) == "b"
        assert service.endpoints[0].breaker.failures == 1


async def test_an_impatient_caller_takes_no_instance_out() -> None:
    async with instance("a", hanging) as one, client(one.url) as service:
        for _ in range(10):
            assert (await failing(service, timeout=0.01)).code == 504

        assert service.endpoints[0].breaker.state is State.HEALTHY
        assert service.endpoints[0].breaker.failures == 0


async def test_a_slow_body_ends_with_the_time_of_the_call() -> None:
    async def slow(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"begin")
        await asyncio.Event().wait()
        return response

    async with instance("a", slow) as one, client(one.url) as service:
        with pytest.raises(TimeoutError):
            await text(service, timeout=0.2)
        assert in_flight(service) == 0


async def test_a_call_may_have_any_time() -> None:
    async def slow(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(3):
            await response.write(b"a")
            await asyncio.sleep(0.1)
        return response

    async with (
        instance("a", slow) as one,
        client(one.url, policy=policy(timeout=0.2)) as service,
    ):
        assert await text(service, timeout=None) == "aaa"
        assert "X-Request-Timeout" not in one.calls[0].headers


# -- "not now" ------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [502, 503, 504])
@pytest.mark.parametrize("call", [{"method": "GET"}, {"method": "POST", "headers": KEY}])
async def test_not_now_is_asked_elsewhere_if_that_does_no_harm(
    call: dict[str, Any], status: int
) -> None:
    async with (
        instance("a", answering(status)) as one,
        instance("b") as two,
        client(one.url, two.url) as service,
    ):
        assert await text(service, json={"a": 1}, **call) == "b"
        assert one.bodies == two.bodies == [b'{"a":1}']
        assert service.endpoints[0].breaker.failures == 1
        assert in_flight(service) == 0


async def test_not_now_is_the_answer_to_what_may_have_been_acted_on() -> None:
    async with (
        instance("a", answering(503)) as one,
        instance("b") as two,
        client(one.url, two.url) as service,
    ):
        assert await text(service, "POST") == "no"
        assert not two.calls


@pytest.mark.parametrize("status", [400, 404, 429, 500, 501])
async def test_other_answers_stand(status: int) -> None:
    async with (
        instance("a", answering(status)) as one,
        instance("b") as two,
        client(one.url, two.url) as service,
    ):
        async with service.get("/") as got:
            assert (got.status, await got.text()) == (status, "no")
        assert not two.calls
        assert service.endpoints[0].breaker.failures == (status >= 500)


async def test_without_another_instance_not_now_is_the_answer() -> None:
    async with instance("a", answering(503)) as one, client(one.url) as service:
        async with service.get("/") as got:
            assert (got.status, await got.text()) == (503, "no")
        assert len(one.calls) == 1


async def test_the_last_answer_stands_when_the_tries_are_used_up() -> None:
    thrice = policy(retry=RetryPolicy(tries=3))
    async with instances("abcd") as all_of_them:
        for one in all_of_them:
            one.behaviour = answering(503, text=one.name)
        async with client(*[one.url for one in all_of_them], policy=thrice) as service:
            assert await text(service) == "c"
        assert [len(one.calls) for one in all_of_them] == [1, 1, 1, 0]


async def test_retry_after_is_waited_for_also_at_the_only_instance() -> None:
    async def busy(_: web.Request) -> web.StreamResponse:
        one.behaviour = one.hello
        return web.Response(status=503, headers={"Retry-After": "1"})

    async with instance("a", busy) as one, client(one.url) as service:
        began = monotonic()
        assert await text(service) == "a"
        assert monotonic() - began >= 1.0


@pytest.mark.parametrize("asked", ["3", "Fri, 31 Dec 2100 23:59:59 GMT"])
async def test_a_longer_retry_after_is_for_the_caller_to_hear(asked: str) -> None:
    async with (
        instance("a", answering(503, {"Retry-After": asked})) as one,
        instance("b") as two,
        client(one.url, two.url) as service,
    ):
        async with service.get("/") as got:
            assert (got.status, got.headers["Retry-After"]) == (503, asked)
        assert not two.calls


async def test_a_retry_after_beyond_the_deadline_is_not_waited_for() -> None:
    async with instance("a", answering(503, {"Retry-After": "1"})) as one:
        async with client(one.url) as service, service.get("/", timeout=0.5) as got:
            assert got.status == 503
        assert len(one.calls) == 1


# -- bodies ---------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"abc", "abc", bytearray(b"abc"), memoryview(b"abc")])
async def test_a_body_at_hand_is_sent_again(data: Any) -> None:
    async with instance() as one, client(url_of_nobody(), one.url) as service:
        assert await text(service, "POST", data=data) == "a"
        assert one.bodies == [b"abc"]


async def test_a_form_is_sent_again() -> None:
    async with (
        instance("a", answering(503)) as one,
        instance("b") as two,
        client(one.url, two.url) as service,
    ):
        assert await text(service, "POST", data={"a": "b"}, headers=KEY) == "b"
        assert one.bodies == two.bodies == [b"a=b"]


async def test_a_stream_is_sent_once() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"abc"

    async with instance() as one, client(url_of_nobody(), one.url) as service:
        assert (await failing(service, "POST", data=pieces(), headers=KEY)).code == 502
        assert not one.calls


async def test_a_stream_that_fails_is_its_callers_fault() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"abc"
        raise RuntimeError("out of data")

    async with instance() as one, client(one.url) as service:
        with pytest.raises(aiohttp.ClientConnectionError):
            await text(service, "POST", data=pieces())
        assert service.endpoints[0].breaker.failures == 0
        assert in_flight(service) == 0


# -- the circuit and the budget -------------------------------------------------------------


async def test_a_failing_instance_is_ejected_and_the_error_says_when_to_come_back() -> None:
    async with instance("a", answering(500)) as one, client(one.url) as service:
        for _ in range(5):
            assert await text(service) == "no"
        error = await failing(service)

        assert error.code == 503
        assert error.retry_after is not None
        assert 8 < error.retry_after <= 11
        assert len(one.calls) == 5


async def test_after_its_time_one_call_probes_and_brings_an_instance_back() -> None:
    quick = policy(breaker=BreakerPolicy(eject=1.0, ramp=0.0))
    async with instance("a", answering(500)) as one, client(one.url, policy=quick) as service:
        for _ in range(5):
            await text(service)
        one.behaviour = one.hello
        error = await failing(service)
        await asyncio.sleep(error.retry_after or 0)

        assert await text(service) == "a"
        assert await text(service) == "a"
        assert service.endpoints[0].breaker.state is State.HEALTHY


async def test_retries_are_paid_from_a_budget() -> None:
    # Breakers that never open: nothing but the budget stands between a storm and twice a storm.
    never = BreakerPolicy(failures=10**6, ratio=2.0)
    async with instances("ab") as both:
        for one in both:
            one.behaviour = answering(503)
        service = client(*[one.url for one in both], policy=policy(breaker=never))
        async with service:
            began = monotonic()
            for _ in range(200):
                await text(service)
            took = monotonic() - began

        sent = sum(len(one.calls) for one in both)
        assert sent - 200 == service.retries
        assert service.retries <= 200 * 0.2 + 3 * (took + 1) + 1
        assert service.retries >= 3


async def test_an_instance_that_is_full_gets_no_more() -> None:
    async with instance("a", hanging) as one:
        async with client(one.url, policy=policy(requests=1)) as service:
            first = spawn(failing(service), name="first")
            await one.called.wait()
            error = await failing(service)
            first.cancel()

        assert (error.code, error.retry_after) == (503, 1)


# -- callers that leave ---------------------------------------------------------------------


async def test_a_call_that_is_cancelled_lets_go_of_its_instance() -> None:
    async with upstream(hang) as peer, client(peer.url) as service:
        call = spawn(text(service), name="call")
        wire = await peer.accepted()
        await wire.until(lambda: b"\r\n\r\n" in wire.received)
        call.cancel()
        await asyncio.wait({call})

        assert call.cancelled()
        await wire.until(lambda: wire.ended)
        assert in_flight(service) == 0
        assert service.endpoints[0].breaker.failures == 0


async def test_an_answer_that_is_not_read_to_its_end_ends_its_connection() -> None:
    async def endless(wire: Wire) -> None:
        await wire.head()
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nbegin")
        await wire.until(lambda: wire.ended)

    async with upstream(endless) as peer, client(peer.url) as service:
        async with service.get("/") as got:
            assert await got.content.read(5) == b"begin"
            assert in_flight(service) == 1
        assert in_flight(service) == 0
        await peer.wires[0].until(lambda: peer.wires[0].ended)
        assert service.endpoints[0].breaker.failures == 0


async def test_a_stream_that_is_read_to_its_end_is_under_way_until_then() -> None:
    async with (
        scripted(answer(b"x" * 2_000_000)) as peer,
        client(peer.url) as service,
        service.get("/") as got,
    ):
        assert in_flight(service) == 1
        assert len(await got.read()) == 2_000_000
        assert in_flight(service) == 0
