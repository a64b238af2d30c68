"""Active health checks against endpoints that flap, hang, refuse, and answer the wrong thing."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import orjson
import pytest

from tests.peers.gateways import config, eventually, gateway, pool_of, service_of
from tests.peers.scripted import OK, answer, answering, upstream
from tests.peers.servers import free_port
from tests.peers.wire import Message, Wire, connect
from uaitools.proxy.checks import CONCURRENCY, Checks
from uaitools.proxy.ejection import Ejection
from uaitools.proxy.gateway import Gateway
from uaitools.proxy.healthcheck import HealthCheck
from uaitools.proxy.outbox import Outbox
from uaitools.proxy.pool import Pool
from uaitools.proxy.service import Service, ServicePolicy
from uaitools.proxy.sweep import Sweep
from uaitools.traffic.breaker import Cause, CircuitBreaker, State
from uaitools.traffic.checks import CheckPolicy, CheckRecord
from uaitools.traffic.endpoint import Endpoint

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
QUICK = {"interval": 0.25, "timeout": 0.3, "jitter": 0, "rise": 2, "fall": 2}


def checked(**check: object) -> dict[str, object]:
    return {"check": {**QUICK, **({} if "tcp" in check else {"http": "/health"}), **check}}


def record_of(proxy: Gateway, index: int = 0) -> CheckRecord:
    record = pool_of(proxy, index).endpoint.check
    assert record is not None
    return record


async def checks(proxy: Gateway, count: int, index: int = 0) -> CheckRecord:
    """Wait for `count` more results."""
    await eventually(lambda: pool_of(proxy, index).endpoint.check is not None)
    record = record_of(proxy, index)
    before = record.passes + record.failures
    await eventually(lambda: record.passes + record.failures >= before + count)
    return record


async def ask(proxy: Gateway, path: bytes = b"/x") -> Message:
    wire = await connect(proxy.address.port)
    wire.send(GET.replace(b"/x", path))
    answered = await wire.message()
    wire.close()
    return answered


class Patient:
    """An upstream that answers requests with 200, and checks with what `health` says."""

    def __init__(self) -> None:
        self.health: Callable[[Wire], Awaitable[None]] | bytes = OK
        self.requests = 0
        self.checks: list[Message] = []

    async def __call__(self, wire: Wire) -> None:
        while not wire.ended or wire.unread:
            request = await wire.message()
            if b" /health " not in request.start:
                self.requests += 1
                wire.send(OK)
                continue
            self.checks.append(request)
            if isinstance(self.health, bytes):
                wire.send(self.health)
            else:
                await self.health(wire)


async def hang(wire: Wire) -> None:
    await wire.rest()


async def closes(wire: Wire) -> None:
    wire.close()


async def test_an_endpoint_that_fails_its_checks_is_left_out_and_comes_back_by_a_probe() -> None:
    bad, good = Patient(), Patient()
    settings = {**checked(), "breaker": {"ramp": 0}}
    async with (
        upstream(bad) as one,
        upstream(good) as two,
        upstream(good) as three,
        gateway(one.url, two.url, three.url, service=settings) as proxy,
    ):
        endpoint = pool_of(proxy).endpoint
        await checks(proxy, 1)
        assert endpoint.healthy

        bad.health = answer(b"no", b"503 No")
        await eventually(lambda: endpoint.breaker.state is State.EJECTED)
        assert endpoint.breaker.cause is Cause.CHECK
        for _ in range(6):
            assert (await ask(proxy)).status == 200
        assert (bad.requests, good.requests) == (0, 6)

        bad.health = OK
        await eventually(lambda: not record_of(proxy).down)
        assert endpoint.breaker.state is State.EJECTED, "checks alone do not bring it back"
        for _ in range(9):
            assert (await ask(proxy)).status == 200
        assert bad.requests >= 2
        assert endpoint.healthy
        assert record_of(proxy).passes >= 2


@pytest.mark.parametrize(
    "health", [hang, closes, answer(b"no"), answer(b"up", b"404 No"), b"no\r\n"]
)
async def test_whatever_is_no_good_answer_is_a_failed_check(
    health: Callable[[Wire], Awaitable[None]] | bytes,
) -> None:
    server = Patient()
    server.health = health
    async with (
        upstream(server) as one,
        gateway(one.url, service=checked(body="up")) as proxy,
    ):
        record = await checks(proxy, 2)
        assert (record.passes, record.down) == (0, True)
        assert record.last
        await eventually(lambda: one.open <= 1, interval=0.01)


async def test_an_endpoint_that_flaps_within_its_bounds_stays() -> None:
    server = Patient()
    turns = [OK, answer(b"no", b"500 No")]

    async def flap(wire: Wire) -> None:
        wire.send(turns[len(server.checks) % 2])

    server.health = flap
    async with upstream(server) as one, gateway(one.url, service=checked()) as proxy:
        record = await checks(proxy, 6)
        assert record.passes >= 3
        assert record.failures >= 3
        assert pool_of(proxy).endpoint.healthy


async def test_the_request_of_a_check_is_as_configured() -> None:
    server = Patient()
    settings = checked(method="OPTIONS", host="health.example:80")
    async with upstream(server) as one, gateway(one.url, service=settings) as proxy:
        await checks(proxy, 1)
        assert server.checks[0].start == b"OPTIONS /health HTTP/1.1"
        assert server.checks[0]["host"] == b"health.example:80"


async def test_tcp_checks_need_no_more_than_a_connection() -> None:
    async with (
        upstream(hang) as server,
        gateway(server.url, f"http://127.0.0.1:{free_port()}", service=checked(tcp=True)) as proxy,
    ):
        refused = await checks(proxy, 2, index=1)
        assert (refused.down, refused.last) == (True, "Connection refused")
        accepted = await checks(proxy, 2)
        assert (accepted.down, accepted.failures) == (False, 0)
        assert server.received == b""
        await eventually(lambda: server.open == 0)


async def test_an_endpoint_that_is_a_unix_socket_is_checked_through_it(tmp_path: Path) -> None:
    path, server = str(tmp_path / "app.sock"), Patient()
    async with (
        upstream(server, path=path) as one,
        gateway(one.url, f"unix:{tmp_path}/gone.sock", service=checked()) as proxy,
    ):
        assert (await checks(proxy, 1)).last == ""
        assert server.checks[0]["host"] == b"localhost"
        assert (await checks(proxy, 2, index=1)).last == "No such file or directory"


async def test_a_new_endpoint_is_used_before_its_first_check_has_ended() -> None:
    server = Patient()
    server.health = hang
    settings = checked(timeout=30)
    async with upstream(server) as one, gateway(one.url, service=settings) as proxy:
        await eventually(lambda: server.checks)
        assert (await ask(proxy)).status == 200


async def test_checks_are_no_requests_and_take_no_connection_of_the_pool() -> None:
    server = Patient()
    settings = {**checked(), "limits": {"connections": 1}}
    async with upstream(server) as one, gateway(one.url, service=settings) as proxy:
        await checks(proxy, 2)
        pool = pool_of(proxy)
        assert (pool.open, pool.opened, service_of(proxy).requests) == (0, 0, 0)
        assert (pool.endpoint.breaker.successes, pool.endpoint.in_flight) == (0, 0)


async def test_good_checks_do_not_shorten_an_ejection_that_requests_have_caused() -> None:
    async def broken(wire: Wire) -> None:
        while not wire.ended or wire.unread:
            request = await wire.message()
            wire.send(OK if b" /health " in request.start else answer(status=b"500 Broken"))

    settings = {**checked(), "breaker": {"failures": 1, "eject": 60}}
    async with upstream(broken) as server, gateway(server.url, service=settings) as proxy:
        assert (await ask(proxy)).status == 500
        breaker = pool_of(proxy).endpoint.breaker
        until = breaker.until
        await checks(proxy, 4)
        assert (breaker.state, breaker.cause, breaker.until) == (
            State.EJECTED,
            Cause.FAILURES,
            until,
        )
        assert (await ask(proxy)).status == 503


async def test_when_checks_have_more_than_half_down_requests_are_sent_all_the_same() -> None:
    """A check that is wrong, or asks for too much, must not take a service down by itself."""
    server = Patient()
    server.health = answer(b"no", b"500 No")
    async with upstream(server) as one, gateway(one.url, service=checked()) as proxy:
        await eventually(lambda: not pool_of(proxy).endpoint.healthy)
        assert (await ask(proxy)).status == 200
        assert orjson.loads((await ask(proxy, b"/health")).body)["dependencies"] == {
            "api": "unhealthy"
        }


async def test_a_request_that_finds_all_held_and_full_is_told_when_to_come_back() -> None:
    server = Patient()
    server.health = answer(b"no", b"500 No")
    settings = {**checked(), "breaker": {"failures": 1}}

    async with upstream(server) as one, gateway(one.url, service=settings) as proxy:
        breaker = pool_of(proxy).endpoint.breaker
        breaker.eject(time.monotonic(), Cause.FAILURES)
        await eventually(lambda: breaker.held)
        answered = await ask(proxy)
        assert answered.status == 503
        assert answered["retry-after"] == b"1", "after two checks it may be back"


async def test_what_a_check_finds_is_not_announced_to_other_workers() -> None:
    announced: list[Ejection] = []
    server = Patient()
    server.health = answer(b"no", b"500 No")
    async with (
        upstream(server) as one,
        Gateway(config(one.url, service=checked()), on_ejection=announced.append) as proxy,
    ):
        await eventually(lambda: not pool_of(proxy).endpoint.healthy)
        assert announced == []


async def test_status_and_metrics_show_the_last_check() -> None:
    bad, good = Patient(), Patient()
    bad.health = answer(b"no", b"503 No")
    began = time.time()
    async with (
        upstream(bad) as one,
        upstream(good) as two,
        gateway(one.url, two.url, service=checked()) as proxy,
    ):
        await checks(proxy, 3)
        assert record_of(proxy).down
        status = orjson.loads((await ask(proxy, b"/api/status")).body)
        shown = {each["address"]: each["check"] for each in status["services"]["api"]["endpoints"]}
        addresses = [pool.endpoint.address for pool in service_of(proxy).pools.values()]
        failed, passed = (shown[address] for address in addresses)
        assert (failed["result"], failed["reason"]) == ("fail", "status 503")
        assert (passed["result"], passed["reason"]) == ("pass", None)
        assert began <= failed["at"] <= time.time()

        metrics = (await ask(proxy, b"/metrics")).body.decode().splitlines()
        values = dict(line.rsplit(" ", 1) for line in metrics if not line.startswith("#"))

        def value(name: str, *parts: str) -> float:
            (found,) = (
                v for k, v in values.items() if k.startswith(name) and all(p in k for p in parts)
            )
            return float(found)

        assert value("proxy_health_checks_total", addresses[0], '"fail"') >= 2
        assert value("proxy_health_checks_total", addresses[0], '"pass"') == 0
        assert value("proxy_health_checks_total", addresses[1], '"pass"') >= 1
        assert value("proxy_endpoint_down", addresses[0]) == 1
        assert value("proxy_endpoint_down", addresses[1]) == 0


async def test_the_status_of_an_endpoint_without_checks_has_none() -> None:
    async with answering() as server, gateway(server.url) as proxy:
        status = orjson.loads((await ask(proxy, b"/api/status")).body)
        assert status["services"]["api"]["endpoints"][0]["check"] is None


# -- reloads --------------------------------------------------------------------------------


async def test_a_reload_that_takes_the_checks_away_takes_their_verdict_away() -> None:
    server = Patient()
    server.health = answer(b"no", b"500 No")
    async with upstream(server) as one, gateway(one.url, service=checked()) as proxy:
        endpoint = pool_of(proxy).endpoint
        await eventually(lambda: endpoint.breaker.held)
        await proxy.reload(config(one.url))
        await eventually(lambda: not endpoint.breaker.held)
        assert endpoint.check is None
        assert (await ask(proxy)).status == 200
        count = len(server.checks)
        await asyncio.sleep(0.6)  # nothing happens, and nothing tells
        assert len(server.checks) == count


async def test_a_reload_that_shortens_the_interval_is_felt_at_once() -> None:
    server = Patient()
    async with (
        upstream(server) as one,
        gateway(one.url, service=checked(interval=3600)) as proxy,
    ):
        await eventually(lambda: server.checks and record_of(proxy).passes)
        await proxy.reload(config(one.url, service=checked()))
        await checks(proxy, 2)


async def test_a_check_that_ends_after_its_endpoint_was_removed_says_nothing() -> None:
    server = Patient()
    gate = asyncio.Event()

    async def late(wire: Wire) -> None:
        await gate.wait()
        wire.send(answer(b"no", b"500 No"))

    server.health = late
    settings = checked(timeout=30, fall=1)
    async with (
        upstream(server) as one,
        answering() as two,
        gateway(one.url, service=settings) as proxy,
    ):
        endpoint = pool_of(proxy).endpoint
        await eventually(lambda: server.checks)
        await proxy.reload(config(two.url))
        gate.set()
        await eventually(lambda: one.open == 0)
        assert endpoint.healthy


# -- bounds ---------------------------------------------------------------------------------


async def test_only_so_many_checks_are_under_way_and_the_longest_due_go_first() -> None:
    gate = asyncio.Event()
    begun: list[str] = []

    def connector(name: str) -> Callable[[Callable[[], asyncio.Protocol]], Awaitable[object]]:
        async def connect(_factory: Callable[[], asyncio.Protocol]) -> None:
            begun.append(name)
            await gate.wait()
            raise OSError("refused")

        return connect

    policy = CheckPolicy(interval=60, timeout=60, jitter=0)
    service = Service("api", ServicePolicy(check=HealthCheck(policy=policy)), 0.0)
    names = [str(number) for number in range(3 * CONCURRENCY)]
    service.replace(
        {
            endpoint: Pool(endpoint, service, connector(endpoint.address), Sweep(), Outbox())
            for endpoint in (Endpoint(name, 1, CircuitBreaker(), 10) for name in names)
        }
    )
    for endpoint in service.pools:
        endpoint.check = CheckRecord(policy, float(names[-1]) - float(endpoint.address))
    running = Checks(lambda: [service])

    running.run_due(1000.0)
    running.run_due(1000.0)
    await eventually(lambda: len(begun) == CONCURRENCY)
    assert begun == names[: -CONCURRENCY - 1 : -1]

    gate.set()
    for _ in range(2):
        await eventually(lambda: repr(running) == "<Checks running=0>")
        running.run_due(1000.0)
    await eventually(lambda: len(begun) == 3 * CONCURRENCY)
    assert sorted(begun) == sorted(names)
    await running.stop()


async def test_a_check_under_way_ends_with_the_gateway() -> None:
    server = Patient()
    server.health = hang
    async with upstream(server) as one:
        async with gateway(one.url, service=checked(timeout=30)):
            await eventually(lambda: server.checks)
        await eventually(lambda: one.open == 0)
