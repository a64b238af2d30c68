"""Endpoints: which one is asked, which connection is used, what is tried again, who is let out."""

import asyncio
import socket
import time
from pathlib import Path

import orjson
import pytest

from tests.peers.gateways import ask, config, eventually, gateway, pool_of, service_of
from tests.peers.scripted import OK, Scripted, answer, answering, hang, upstream
from tests.peers.servers import free_port
from tests.peers.stopwatch import stopwatch
from tests.peers.wire import Wire, connect
from uaitools.traffic.breaker import State

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"
KEYED = POST.replace(b"\r\n\r\n", b"\r\nIdempotency-Key: 1\r\n\r\n")


# -- kinds of endpoints ---------------------------------------------------------------------


async def test_an_endpoint_may_be_a_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "app.sock")
    async with answering(path=path) as server, gateway(f"unix:{path}") as proxy:
        wire = await connect(proxy.address.port)
        for _ in range(3):
            wire.send(GET)
            assert (await wire.message()).body == b"ok"
        wire.close()
        assert len(server.wires) == 1


async def test_an_endpoint_may_be_a_name() -> None:
    async with answering() as server, gateway(f"http://localhost:{server.port}") as proxy:
        assert (await ask(proxy)).body == b"ok"
        assert server.requests[0]["host"] == b"a"


async def test_a_name_that_does_not_resolve_is_a_503_that_names_it() -> None:
    async with gateway("http://name.invalid:80") as proxy:
        answered = await ask(proxy)
        assert answered.status == 503
        assert b"name.invalid" in answered.body


async def test_requests_are_spread_by_weight() -> None:
    async with (
        answering() as one,
        answering() as two,
        gateway({"url": one.url, "weight": 3}, two.url) as proxy,
    ):
        wire = await connect(proxy.address.port)
        wire.send(GET * 40)
        for _ in range(40):
            await wire.message()
        wire.close()
        assert (len(one.requests), len(two.requests)) == (30, 10)


# -- stale connections ----------------------------------------------------------------------


def closes_when_used_again() -> tuple[Scripted, list[bytes]]:
    """Connections that serve one request and end when the second arrives."""
    methods: list[bytes] = []

    async def script(wire: Wire) -> None:
        methods.append((await wire.message()).start.split(b" ")[0])
        wire.send(OK)
        methods.append((await wire.message()).start.split(b" ")[0])
        wire.close()

    return Scripted(script), methods


@pytest.mark.parametrize("raw", [GET, KEYED], ids=["GET", "POST with Idempotency-Key"])
async def test_a_request_on_a_stale_connection_is_sent_again_once(raw: bytes) -> None:
    server, methods = closes_when_used_again()
    await server.start()
    async with gateway(server.url) as proxy:
        wire = await connect(proxy.address.port)
        for _ in range(3):
            wire.send(raw)
            assert (await wire.message()).body == b"ok"
        wire.close()
        assert len(methods) == 5
        assert len(server.wires) == 3
        assert service_of(proxy).retries == 0, "a replay is free"
        assert pool_of(proxy).endpoint.breaker.failures == 0
        assert pool_of(proxy).endpoint.in_flight == 0
    await server.stop()


async def test_a_post_on_a_stale_connection_is_not_sent_again() -> None:
    server, methods = closes_when_used_again()
    await server.start()
    async with gateway(server.url, service={"retry": {"tries": 3}}) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(POST)
        assert (await wire.message()).status == 200
        wire.send(POST)
        assert (await wire.message()).status == 502
        wire.send(POST)
        assert (await wire.message()).status == 200
        wire.close()
        assert methods == [b"POST"] * 3
        assert pool_of(proxy).endpoint.in_flight == 0
    await server.stop()


async def test_a_fresh_connection_that_ends_is_not_replayed() -> None:
    async def dies(wire: Wire) -> None:
        await wire.head()
        wire.close()

    async with upstream(dies) as server, gateway(server.url) as proxy:
        assert (await ask(proxy)).status == 502
        assert len(server.wires) == 1


async def test_an_idle_connection_that_the_upstream_closes_leaves_the_pool() -> None:
    async with answering() as server, gateway(server.url) as proxy:
        assert (await ask(proxy)).status == 200
        await eventually(lambda: len(pool_of(proxy).idle) == 1)
        server.wires[0].close()
        await eventually(lambda: pool_of(proxy).open == 0)
        assert pool_of(proxy).idle == []
        assert (await ask(proxy, POST)).status == 200


async def test_keep_alive_timeout_is_learned_and_the_connection_closed_before_it() -> None:
    lines = b"Connection: keep-alive\r\nKeep-Alive: timeout=1, max=100\r\n"
    async with answering(answer(headers=lines)) as server, gateway(server.url) as proxy:
        assert (await ask(proxy)).status == 200
        with stopwatch() as watch:
            await server.wires[0].finish()
        assert watch.seconds < 1.0


async def test_an_upstream_that_says_close_is_not_used_again() -> None:
    lines = b"Connection: close\r\n"
    async with answering(answer(headers=lines)) as server, gateway(server.url) as proxy:
        for _ in range(2):
            assert (await ask(proxy)).status == 200
        assert len(server.wires) == 2
        await eventually(lambda: pool_of(proxy).open == 0)


async def test_an_http_1_0_upstream_is_used_again_only_if_it_says_so() -> None:
    once = b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"
    kept = b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok"
    for served, connections in ((once, 2), (kept, 1)):
        async with answering(served) as server, gateway(server.url) as proxy:
            for _ in range(2):
                assert (await ask(proxy)).body == b"ok"
            assert len(server.wires) == connections


async def test_the_last_returned_connection_is_the_first_used() -> None:
    gate = asyncio.Event()

    async def script(wire: Wire) -> None:
        while not wire.ended:
            await wire.head()
            await gate.wait()
            wire.send(OK)

    async with upstream(script) as server, gateway(server.url) as proxy:
        clients = [await connect(proxy.address.port) for _ in range(5)]
        for client in clients:
            client.send(GET)
        await server.accepted(5)
        gate.set()
        for client in clients:
            await client.message()
        for _ in range(10):
            clients[0].send(GET)
            await clients[0].message()
        for client in clients:
            client.close()
        assert sorted(wire.received.count(b"GET") for wire in server.wires) == [1, 1, 1, 1, 11]


# -- retries --------------------------------------------------------------------------------


@pytest.mark.parametrize("raw", [GET, POST], ids=["GET", "POST"])
async def test_a_connect_error_is_tried_at_another_endpoint(raw: bytes) -> None:
    dead = f"http://127.0.0.1:{free_port()}"
    async with (
        answering() as server,
        gateway(dead, server.url, service={"retry": {"tries": 2}}) as proxy,
    ):
        assert (await ask(proxy, raw)).status == 200
        assert service_of(proxy).retries == 1
        assert len(server.requests) == 1


@pytest.mark.parametrize("status", [502, 503, 504])
@pytest.mark.parametrize("raw", [GET, KEYED], ids=["GET", "POST with Idempotency-Key"])
async def test_502_503_and_504_are_tried_at_another_endpoint(raw: bytes, status: int) -> None:
    async with (
        answering(answer(b"busy", b"%d Busy" % status)) as busy,
        answering() as server,
        gateway(busy.url, server.url, service={"retry": {"tries": 2}}) as proxy,
    ):
        assert (await ask(proxy, raw)).body == b"ok"
        assert (len(busy.requests), len(server.requests)) == (1, 1)
        assert pool_of(proxy).endpoint.breaker.failures == 1
        assert len(pool_of(proxy).idle) == 1, "the connection of the 503 is good"


async def test_a_large_503_is_tried_elsewhere_too_and_its_connection_closed() -> None:
    async with (
        answering(answer(b"x" * 1_000_000, b"503 Busy")) as busy,
        answering() as server,
        gateway(busy.url, server.url, service={"retry": {"tries": 2}}) as proxy,
    ):
        assert (await ask(proxy)).body == b"ok"
        await eventually(lambda: pool_of(proxy).open == 0)
        assert len(server.requests) == 1


@pytest.mark.parametrize("status", [500, 501, 404])
async def test_other_statuses_are_the_answer(status: int) -> None:
    async with (
        answering(answer(b"no", b"%d No" % status)) as server,
        answering() as other,
        gateway(server.url, other.url, service={"retry": {"tries": 2}}) as proxy,
    ):
        assert (await ask(proxy)).status == status
        assert other.requests == []


async def test_a_503_to_a_post_is_the_answer() -> None:
    async with (
        answering(answer(b"busy", b"503 Busy")) as busy,
        answering() as other,
        gateway(busy.url, other.url, service={"retry": {"tries": 2}}) as proxy,
    ):
        assert (await ask(proxy, POST)).body == b"busy"
        assert other.requests == []


async def test_a_timeout_is_tried_elsewhere_for_get_and_a_504_for_post() -> None:
    settings = {"retry": {"tries": 2}, "timeouts": {"first_byte": 0.3}}
    async with (
        upstream(hang) as silent,
        answering() as server,
        gateway(silent.url, server.url, service=settings) as proxy,
    ):
        assert (await ask(proxy)).status == 200
        assert sorted([(await ask(proxy, POST)).status for _ in range(2)]) == [200, 504]
        await eventually(lambda: pool_of(proxy).open == silent.open == 0)


async def test_the_last_answer_stands_when_every_try_was_used() -> None:
    async with (
        answering(answer(b"one", b"503 Busy")) as one,
        answering(answer(b"two", b"503 Busy")) as two,
        gateway(one.url, two.url, service={"retry": {"tries": 2}}) as proxy,
    ):
        assert (await ask(proxy)).body == b"two"
        assert (len(one.requests), len(two.requests)) == (1, 1)


async def test_retries_stop_when_the_budget_is_spent() -> None:
    busy = answer(b"busy", b"503 Busy")
    settings = {
        "retry": {"tries": 2, "budget": 0.0},
        "breaker": {"failures": 1000, "minimum": 1000},
    }
    async with (
        answering(busy) as one,
        answering(busy) as two,
        gateway(one.url, two.url, service=settings) as proxy,
    ):
        began = time.monotonic()
        for _ in range(20):
            assert (await ask(proxy)).status == 503
        # Three to begin with and three a second, whatever the ratio.
        allowed = 3 + 3 * (time.monotonic() - began) + 1
        assert 3 <= service_of(proxy).retries <= allowed
        assert len(one.requests) + len(two.requests) == 20 + service_of(proxy).retries


async def test_a_large_upload_is_not_held_for_a_retry() -> None:
    async def reads_then_dies(wire: Wire) -> None:
        await wire.head()
        await wire.read(200_000)
        wire.reset()

    async with (
        upstream(reads_then_dies) as bad,
        answering() as other,
        gateway(bad.url, other.url, service={"retry": {"tries": 2}}) as proxy,
    ):
        raw = b"PUT /x HTTP/1.1\r\nHost: a\r\nIdempotency-Key: 1\r\nContent-Length: 300000\r\n\r\n"
        assert (await ask(proxy, raw + b"x" * 300_000)).status == 502
        assert other.requests == []


# -- the breaker ----------------------------------------------------------------------------


async def test_five_failures_eject_and_a_good_probe_brings_back() -> None:
    broken = answer(b"broken", b"500 Broken")
    settings = {"breaker": {"failures": 5, "eject": 0.5, "ramp": 0.2}}
    async with answering(broken) as server, gateway(server.url, service=settings) as proxy:
        breaker = pool_of(proxy).endpoint.breaker
        for _ in range(5):
            assert (await ask(proxy)).body == b"broken"
        assert breaker.state is State.EJECTED
        answered = await ask(proxy)
        assert answered.status == 503
        assert int(answered["retry-after"]) >= 1
        error = orjson.loads(answered.body)
        assert (error["code"], error["service"]) == (503, "api")
        assert str(server.port) not in error["message"]
        assert len(server.requests) == 5, "an ejected endpoint gets nothing"

        server.answers = [OK]
        await eventually(lambda: time.monotonic() >= breaker.until)
        assert (await ask(proxy)).status == 200
        assert breaker.state in (State.RAMPING, State.HEALTHY)
        assert (await ask(proxy)).status == 200
        assert len(server.requests) == 7


async def test_exactly_one_probe_is_sent_and_a_failed_one_ejects_for_longer() -> None:
    gate = asyncio.Event()

    async def script(wire: Wire) -> None:
        while not wire.ended:
            await wire.head()
            await gate.wait()
            wire.send(answer(b"broken", b"500 Broken"))

    settings = {"breaker": {"failures": 1, "eject": 0.3, "eject_max": 60}}
    async with upstream(script) as server, gateway(server.url, service=settings) as proxy:
        breaker = pool_of(proxy).endpoint.breaker
        gate.set()
        assert (await ask(proxy)).status == 500
        first = breaker.until - time.monotonic()
        await eventually(lambda: time.monotonic() >= breaker.until)
        gate.clear()
        probe = await connect(proxy.address.port)
        probe.send(GET)
        await eventually(lambda: server.received.count(b"GET") == 2)
        answers = await asyncio.gather(*(ask(proxy) for _ in range(10)))
        assert {answered.status for answered in answers} == {503}
        assert server.received.count(b"GET") == 2
        gate.set()
        assert (await probe.message()).status == 500
        probe.close()
        assert breaker.state is State.EJECTED
        assert breaker.until - time.monotonic() > first


async def test_three_connect_errors_eject() -> None:
    async with gateway(f"http://127.0.0.1:{free_port()}") as proxy:
        for _ in range(3):
            answered = await ask(proxy)
            assert answered.status == 502
        assert (await ask(proxy)).status == 503
        assert pool_of(proxy).open == 0


async def test_a_probe_whose_client_leaves_is_sent_again() -> None:
    async def script(wire: Wire) -> None:
        while not wire.ended:
            await wire.head()
            if probing.is_set():
                await wire.rest()
            wire.send(replies[0])

    probing = asyncio.Event()
    replies = [answer(status=b"500 Broken")]
    settings = {"breaker": {"failures": 1, "eject": 0.2, "ramp": 0}}
    async with upstream(script) as server, gateway(server.url, service=settings) as proxy:
        breaker = pool_of(proxy).endpoint.breaker
        assert (await ask(proxy)).status == 500
        await eventually(lambda: time.monotonic() >= breaker.until)
        probing.set()
        wire = await connect(proxy.address.port)
        wire.send(GET)
        await eventually(lambda: server.received.count(b"GET") == 2)
        assert breaker.state is State.PROBING
        wire.reset()
        await eventually(lambda: breaker.state is State.EJECTED)
        probing.clear()
        replies[0] = OK
        assert (await ask(proxy)).status == 200


# -- limits ---------------------------------------------------------------------------------


async def test_requests_beyond_the_connections_wait_and_beyond_the_queue_get_503_at_once() -> None:
    gate = asyncio.Event()

    async def script(wire: Wire) -> None:
        while not wire.ended:
            await wire.head()
            await gate.wait()
            wire.send(OK)

    settings = {"limits": {"connections": 2, "pending": 3}}
    async with upstream(script) as server, gateway(server.url, service=settings) as proxy:
        clients = [await connect(proxy.address.port) for _ in range(5)]
        for client in clients:
            client.send(GET)
        await server.accepted(2)
        await eventually(lambda: len(pool_of(proxy).waiters) == 3)
        answered = await ask(proxy)
        assert answered.status == 503
        assert answered["retry-after"]
        gate.set()
        for client in clients:
            assert (await client.message()).status == 200
            client.close()
        assert len(server.wires) == 2
        assert pool_of(proxy).endpoint.in_flight == 0


async def test_who_waits_too_long_for_a_connection_gets_503() -> None:
    settings = {"limits": {"connections": 1}, "timeouts": {"first_byte": 0.3}}

    async def slow_stream(wire: Wire) -> None:
        await wire.head()
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx")
        await wire.rest()

    async with upstream(slow_stream) as server, gateway(server.url, service=settings) as proxy:
        first = await connect(proxy.address.port)
        first.send(GET)
        await first.head()
        answered = await ask(proxy)
        assert answered.status == 503
        first.reset()
        await eventually(lambda: server.open == 0)
        assert pool_of(proxy).endpoint.in_flight == 0


async def test_a_client_that_leaves_the_queue_makes_room() -> None:
    settings = {"limits": {"connections": 1, "pending": 1}}
    async with upstream(hang) as server, gateway(server.url, service=settings) as proxy:
        first, second = [await connect(proxy.address.port) for _ in range(2)]
        first.send(GET)
        await server.accepted()
        second.send(GET)
        await eventually(lambda: len(pool_of(proxy).waiters) == 1)
        second.reset()
        await eventually(lambda: len(pool_of(proxy).waiters) == 0)
        first.reset()
        await eventually(lambda: pool_of(proxy).open == 0)
        assert pool_of(proxy).endpoint.in_flight == 0


async def test_requests_in_flight_are_limited_for_each_endpoint() -> None:
    settings = {"limits": {"requests": 2}}
    async with upstream(hang) as server, gateway(server.url, service=settings) as proxy:
        clients = [await connect(proxy.address.port) for _ in range(2)]
        for client in clients:
            client.send(GET)
        await server.accepted(2)
        answered = await ask(proxy)
        assert answered.status == 503
        assert answered["retry-after"] == b"1" or int(answered["retry-after"]) >= 1
        for client in clients:
            client.reset()
        await eventually(lambda: pool_of(proxy).endpoint.in_flight == 0)


@pytest.mark.parametrize("replaced", [True, False])
async def test_a_removed_endpoint_finishes_what_it_has_and_what_can_wait_nowhere_else(
    replaced: bool,
) -> None:
    gate = asyncio.Event()

    async def script(wire: Wire) -> None:
        while not wire.ended:
            await wire.head()
            await gate.wait()
            wire.send(OK)

    settings = {"limits": {"connections": 1, "pending": 5}}
    async with (
        upstream(script) as old,
        answering(answer(b"new")) as new,
        gateway(old.url, service=settings) as proxy,
    ):
        pool = pool_of(proxy)
        clients = [await connect(proxy.address.port) for _ in range(4)]
        for client in clients:
            client.send(GET)
        await old.accepted()
        await eventually(lambda: len(pool.waiters) == 3)
        await proxy.reload(config(new.url) if replaced else config())
        if replaced:
            for client in clients[1:]:
                assert (await client.message()).body == b"new"
        gate.set()
        for client in clients[: 1 if replaced else 4]:
            assert (await client.message()).body == b"ok"
        clients[0].send(GET)
        assert (await clients[0].message()).status == (200 if replaced else 503)
        for client in clients:
            client.close()
        await eventually(lambda: old.open == 0 and pool.open == 0)
        assert len(old.wires) == 1, "no storm of connections to the endpoint that is gone"


async def test_a_connection_that_cannot_be_made_in_time_is_a_504() -> None:
    # A listening socket whose queue is full answers no handshake.
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
            fillers.append(filler)
        settings = {"timeouts": {"connect": 0.3}}
        async with gateway(f"http://127.0.0.1:{port}", service=settings) as proxy:
            assert (await ask(proxy)).status == 504
            assert pool_of(proxy).open == 0
            assert pool_of(proxy).endpoint.in_flight == 0
        for filler in fillers:
            filler.close()


async def test_who_waits_goes_elsewhere_without_a_try_of_his_own_when_an_endpoint_is_removed() -> (
    None
):
    settings = {"limits": {"connections": 1, "pending": 5}, "retry": {"tries": 1, "budget": 0}}
    async with (
        upstream(hang) as old,
        answering(answer(b"new")) as new,
        gateway(old.url, service=settings) as proxy,
    ):
        clients = [await connect(proxy.address.port) for _ in range(3)]
        for client in clients:
            client.send(GET)
        await eventually(lambda: len(pool_of(proxy).waiters) == 2)
        pool = pool_of(proxy)
        await proxy.reload(config(new.url, service=settings))

        for client in clients[1:]:
            assert (await client.message()).body == b"new"
        assert pool.endpoint.in_flight == 1
        assert service_of(proxy).retries == 0
        for client in clients:
            client.reset()
        await eventually(lambda: pool.endpoint.in_flight == 0 and pool.open == 0)


async def test_who_can_wait_nowhere_else_is_told_when_his_time_is_up() -> None:
    settings = {"limits": {"connections": 1, "pending": 5}, "timeouts": {"first_byte": 0.3}}
    async with upstream(hang) as old, gateway(old.url, service=settings) as proxy:
        first, second = [await connect(proxy.address.port) for _ in range(2)]
        first.send(GET)
        await old.accepted()
        second.send(GET)
        await eventually(lambda: pool_of(proxy).waiters)
        await proxy.reload(config(service=settings))

        assert (await first.message()).status == 504
        assert (await second.message()).status in (503, 504)
        first.close()
        second.close()
