"""A gateway whose services are in a registry: what that says is in force, and nothing is lost."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.peers.gateways import GET, SERVICE, ask, config, eventually, pool_of, service_of
from tests.peers.registry import RegistryPeer, instance, registry_peer
from tests.peers.scripted import OK, Answering, Scripted, answer, answering, upstream
from tests.peers.servers import free_port
from tests.peers.wire import Wire, connect
from uaitools.proxy.discovery import Source
from uaitools.proxy.gateway import Gateway
from uaitools.proxy.orders import Order
from uaitools.proxy.pool import Pool
from uaitools.proxy.report import Report
from uaitools.tasks import spawn
from uaitools.traffic.balancing import Ewma
from uaitools.traffic.breaker import Cause

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


def at(name: str, server: Scripted | int, **fields: object) -> dict[str, Any]:
    """An instance where `server` listens."""
    port = server if isinstance(server, int) else server.port
    return instance(name, address="127.0.0.1", port=port, **fields)


@pytest.fixture
async def registry() -> AsyncIterator[RegistryPeer]:
    async with registry_peer() as peer:
        yield peer


@contextlib.asynccontextmanager
async def found(
    peer: RegistryPeer, *endpoints: str, source: Source | None = None, **service: Any
) -> AsyncIterator[Gateway]:
    """A gateway that finds its service in the registry `peer`."""
    settings = config(*endpoints, service={"registry": True, **service})
    gateway = Gateway(settings, registry=source or Source((peer.url,)))
    gateway.discovery.interval = 0.02
    async with gateway:
        yield gateway


async def said(registry: RegistryPeer, *instances: dict[str, Any], index: int) -> None:
    """Tell the watcher who is there, and wait until that is in force."""
    registry.lists_of(SERVICE, *instances, index=index)
    await registry.say(**registry.lists[SERVICE])
    await applied(registry, index)


async def applied(registry: RegistryPeer, index: int) -> None:
    await eventually(
        lambda: registry.said("applied") and registry.said("applied")[-1]["index"] == index
    )


async def names(proxy: Gateway, times: int) -> Counter[bytes]:
    """Who answers how often."""
    return Counter([(await ask(proxy)).body for _ in range(times)])


async def document(proxy: Gateway, path: bytes) -> Any:
    answered = await ask(proxy, b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path)
    return orjson.loads(answered.body)


# -- who gets requests --------------------------------------------------------------------------


async def test_the_first_request_meets_the_instances(registry: RegistryPeer) -> None:
    async with answering(answer(b"a")) as one, answering(answer(b"b")) as two:
        registry.lists_of(SERVICE, at("1", one, weight=3), at("2", two))
        async with found(registry) as proxy:
            assert await names(proxy, 8) == {b"a": 6, b"b": 2}
            await eventually(lambda: registry.said("applied"))
            assert registry.said("watch") == [{"type": "watch", "service": SERVICE}]


async def test_instances_come_and_go_beside_written_endpoints(registry: RegistryPeer) -> None:
    async with answering(answer(b"w")) as written, answering(answer(b"i")) as other:
        registry.lists_of(SERVICE)
        async with found(registry, written.url) as proxy:
            assert await names(proxy, 2) == {b"w": 2}
            await registry.say(type="put", service=SERVICE, index=2, instance=at("1", other))
            await applied(registry, 2)
            assert await names(proxy, 4) == {b"w": 2, b"i": 2}
            await registry.say(type="remove", service=SERVICE, index=3, id="1", cause="expired")
            await applied(registry, 3)
            assert await names(proxy, 2) == {b"w": 2}


async def test_a_service_may_have_another_name_there(registry: RegistryPeer) -> None:
    async with answering() as one:
        registry.lists_of("llm-router", at("1", one))
        async with found(registry, registry="llm-router") as proxy:
            assert (await ask(proxy)).status == 200


async def test_degraded_get_half_and_suspects_come_last(registry: RegistryPeer) -> None:
    async with (
        answering(answer(b"a")) as one,
        answering(answer(b"b")) as two,
        answering(answer(b"c")) as three,
    ):
        degraded, suspect = at("2", two, health="degraded"), at("3", three, health="suspect")
        registry.lists_of(SERVICE, at("1", one), degraded, suspect)
        async with found(registry) as proxy:
            assert await names(proxy, 6) == {b"a": 4, b"b": 2}
            await said(registry, suspect, index=2)
            assert await names(proxy, 2) == {b"c": 2}


async def test_suspects_come_after_backups(registry: RegistryPeer) -> None:
    async with answering(answer(b"backup")) as spare, answering(answer(b"suspect")) as doubtful:
        registry.lists_of(SERVICE, at("1", doubtful, health="suspect"))
        async with found(registry, endpoints=[{"url": spare.url, "backup": True}]) as proxy:
            assert await names(proxy, 3) == {b"backup": 3}
            pool_of(proxy).endpoint.breaker.drain(0.0)
            assert await names(proxy, 3) == {b"suspect": 3}


async def test_the_own_zone_comes_first(registry: RegistryPeer) -> None:
    async with answering(answer(b"near")) as near, answering(answer(b"far")) as far:
        registry.lists_of(SERVICE, at("1", near, zone="eu"), at("2", far, zone="us"))
        async with found(registry, source=Source((registry.url,), zone="eu")) as proxy:
            assert await names(proxy, 4) == {b"near": 4}
            # What its breaker takes out is not there, whatever the registry thinks of it.
            pool_of(proxy).endpoint.breaker.drain(0.0)
            await eventually(lambda: not pool_of(proxy, 1).endpoint.backup)
            assert await names(proxy, 2) == {b"far": 2}


async def test_an_instance_with_a_name_gets_requests_when_it_is_resolved(
    registry: RegistryPeer,
) -> None:
    async with answering(answer(b"named")) as one, found(registry) as proxy:
        registry.lists_of(SERVICE, instance("1", address="localhost", port=one.port))
        await registry.say(**registry.lists[SERVICE])
        await eventually(lambda: service_of(proxy).pools)
        assert await names(proxy, 2) == {b"named": 2}


async def test_without_instances_it_is_said_what_to_do(registry: RegistryPeer) -> None:
    registry.lists_of(SERVICE)
    async with found(registry) as proxy:
        assert b"register an instance named api" in (await ask(proxy)).body
        await said(registry, at("1", 9, health="critical"), index=2)
        assert b"no instance of api to send to, only critical" in (await ask(proxy)).body


async def test_an_operators_orders_hold_for_instances(registry: RegistryPeer) -> None:
    async with answering(answer(b"a")) as one, answering(answer(b"b")) as two:
        registry.lists_of(SERVICE, at("1", one), at("2", two))
        async with found(registry) as proxy:
            address = f"127.0.0.1:{one.port}"
            proxy.obey(Order("weight", SERVICE, address, weight=3))
            assert await names(proxy, 4) == {b"a": 3, b"b": 1}
            proxy.obey(Order("drain", SERVICE, address))
            assert await names(proxy, 2) == {b"b": 2}
            # Neither what the registry says of it nor that it is away for a while ends the order.
            await said(registry, at("1", one, health="critical"), at("2", two), index=2)
            await said(registry, at("1", one), at("2", two), index=3)
            assert await names(proxy, 2) == {b"b": 2}


async def test_who_has_registered_anew_is_not_blamed_for_its_past(registry: RegistryPeer) -> None:
    async with answering() as one:
        registry.lists_of(SERVICE, at("1", one))
        async with found(registry) as proxy:
            pool = pool_of(proxy)
            pool.endpoint.breaker.eject(0.0, Cause.CONNECT, 1e12)
            await said(registry, at("1", one, weight=2), index=2)
            assert (await ask(proxy)).status == 503
            await said(registry, at("1", one, generation=2), index=3)
            assert pool_of(proxy) is pool
            assert (await ask(proxy)).status == 200


# -- who leaves ---------------------------------------------------------------------------------


async def ask_on(proxy: Gateway, stop: asyncio.Event, answers: Counter[int]) -> None:
    """Request after request on one connection."""
    wire = await connect(proxy.address.port)
    while not stop.is_set():
        wire.send(GET)
        answers[(await wire.message()).status] += 1
    wire.close()


async def progress(answers: Counter[int], total: int) -> None:
    await eventually(lambda: answers.total() > total)


def no_longer_busy(pool: Pool) -> bool:
    return pool.endpoint.in_flight == 0


async def test_rolling_drains_under_load_lose_nothing(registry: RegistryPeer) -> None:
    """Each instance stops as soon as it is told to be safe, and refuses whatever comes later."""
    async with contextlib.AsyncExitStack() as stack:
        servers: dict[str, Answering] = {}
        for name in ("1", "2", "3"):
            servers[name] = Answering()
            await servers[name].start()
        stack.push_async_callback(lambda: asyncio.gather(*(s.stop() for s in servers.values())))
        states = dict.fromkeys(servers, "passing")

        def there() -> list[dict[str, Any]]:
            return [at(n, s, health=states[n]) for n, s in servers.items()]

        registry.lists_of(SERVICE, *there())
        limits = {"connections": 2, "pending": 100}
        proxy = await stack.enter_async_context(found(registry, limits=limits))
        stop, answers, index = asyncio.Event(), Counter[int](), 1
        asking = [spawn(ask_on(proxy, stop, answers), name="ask") for _ in range(16)]
        for generation in range(2, 6):
            for name, server in tuple(servers.items()):
                before = answers.total()
                await progress(answers, before + 50)
                address = f"127.0.0.1:{server.port}"
                pool = {p.endpoint.address: p for p in service_of(proxy).pools.values()}[address]
                states[name] = "draining"
                index += 1
                await said(registry, *there(), index=index)
                # It is safe: acknowledged, and nothing is under way.
                await eventually(partial(no_longer_busy, pool))
                await server.stop()
                servers[name] = Answering()
                await servers[name].start()
                states[name] = "passing"
                index += 1
                await said(registry, *there(), index=index)
            assert set(answers) == {200}, generation
        stop.set()
        await asyncio.gather(*asking)
        assert set(answers) == {200}
        assert service_of(proxy).retries == 0


async def test_long_answers_and_tunnels_of_who_drains_finish(registry: RegistryPeer) -> None:
    more = asyncio.Event()

    async def script(wire: Wire) -> None:
        head = await wire.head()
        if b"/ws" in head.start:
            wire.send(SWITCH)
            while not wire.ended:
                wire.send(await wire.read(4))
            return
        wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        await more.wait()
        wire.send(b"3\r\ntwo\r\n0\r\n\r\n")

    async with upstream(script) as old, answering(answer(b"new")) as new:
        registry.lists_of(SERVICE, at("1", old))
        async with found(registry) as proxy:
            long, tunnel = [await connect(proxy.address.port) for _ in range(2)]
            long.send(GET)
            await long.head()
            assert await long.chunk() == b"one"
            tunnel.send(UPGRADE)
            assert (await tunnel.head()).status == 101
            pool = pool_of(proxy)
            await said(registry, at("1", old, health="draining"), at("2", new), index=2)

            assert await names(proxy, 4) == {b"new": 4}
            assert pool not in service_of(proxy).pools.values()
            tunnel.send(b"ping")
            assert await tunnel.read(4) == b"ping"
            more.set()
            assert await long.chunk() == b"two"
            assert await long.chunk() == b""
            await said(registry, at("2", new), index=3)
            tunnel.send(b"pong")
            assert await tunnel.read(4) == b"pong"
            tunnel.close()
            long.close()
            await eventually(lambda: pool.open == 0)


async def test_who_waits_for_one_that_drains_is_elsewhere_when_that_is_acknowledged(
    registry: RegistryPeer,
) -> None:
    gate = asyncio.Event()

    async def script(wire: Wire) -> None:
        while not wire.ended:
            await wire.head()
            await gate.wait()
            wire.send(OK)

    async with upstream(script) as old, answering(answer(b"new")) as new:
        registry.lists_of(SERVICE, at("1", old))
        async with found(registry, limits={"connections": 1}) as proxy:
            clients = [await connect(proxy.address.port) for _ in range(4)]
            for client in clients:
                client.send(GET)
            await old.accepted()
            pool = pool_of(proxy)
            await eventually(lambda: len(pool.waiters) == 3)
            await said(registry, at("1", old, health="draining"), at("2", new), index=2)
            assert pool.endpoint.in_flight == 1
            for client in clients[1:]:
                assert (await client.message()).body == b"new"
            gate.set()
            assert (await clients[0].message()).body == b"ok"
            for client in clients:
                client.close()
            assert len(old.wires) == 1


async def test_a_retry_does_not_go_to_who_drains(registry: RegistryPeer) -> None:
    gate = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.head()
        await gate.wait()
        wire.send(answer(status=b"503 Busy"))

    async with upstream(script) as old, answering(answer(b"new")) as new:
        registry.lists_of(SERVICE, at("1", old))
        async with found(registry, retry={"tries": 3, "budget": 1}) as proxy:
            client = await connect(proxy.address.port)
            client.send(GET)
            await old.accepted()
            await said(registry, at("1", old, health="draining"), at("2", new), index=2)
            gate.set()
            assert (await client.message()).body == b"new"
            client.close()
            assert len(old.wires) == 1


async def test_a_connection_that_closes_as_it_is_used_is_replaced_elsewhere(
    registry: RegistryPeer,
) -> None:
    """The last request raced with the close of its connection, and the instance is gone."""
    gate = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.head()
        wire.send(OK)
        await wire.head()
        await gate.wait()
        wire.reset()

    async with upstream(script) as old, answering(answer(b"new")) as new:
        registry.lists_of(SERVICE, at("1", old))
        async with found(registry) as proxy:
            assert await names(proxy, 1) == {b"ok": 1}
            client = await connect(proxy.address.port)
            client.send(GET)
            await old.wires[0].until(lambda: old.wires[0].received.count(b"\r\n\r\n") == 2)
            await said(registry, at("1", old, health="draining"), at("2", new), index=2)
            gate.set()
            assert (await client.message()).body == b"new"
            client.close()
            assert len(old.wires) == 1


async def test_what_instances_leave_behind_is_nothing(registry: RegistryPeer) -> None:
    async with answering() as one:
        registry.lists_of(SERVICE, at("0", one))

        async def come_and_go(first: int, last: int) -> None:
            for number in range(first, last):
                await registry.say(
                    type="put", service=SERVICE, index=2 * number, instance=at(str(number), one)
                )
                await registry.say(
                    type="remove", service=SERVICE, index=2 * number + 1, id=str(number - 1)
                )
            await applied(registry, 2 * last - 1)
            registry.heard.clear()
            gc.collect()

        async with found(registry) as proxy:
            await come_and_go(1, 50)
            assert await names(proxy, 1) == {b"ok": 1}
            before = len(gc.get_objects())
            await come_and_go(50, 250)
            assert await names(proxy, 1) == {b"ok": 1}
            assert len(gc.get_objects()) < before + 500


# -- the registry itself ------------------------------------------------------------------------


async def test_a_registry_that_goes_changes_nothing_and_one_that_returns_is_heard(
    registry: RegistryPeer,
) -> None:
    async with answering(answer(b"a")) as one, answering(answer(b"b")) as two:
        registry.lists_of(SERVICE, at("1", one))
        async with found(registry) as proxy:
            assert (await document(proxy, b"/health"))["dependencies"]["registry"] == "healthy"
            await registry.stop()
            await eventually(lambda: not proxy.dependencies["registry"])
            assert await names(proxy, 3) == {b"a": 3}
            health = await document(proxy, b"/health")
            assert (health["status"], health["dependencies"]["registry"]) == (
                "degraded",
                "unhealthy",
            )
            assert (await document(proxy, b"/api/status"))["services"]["api"]["registry"]["stale"]

            registry.lists_of(SERVICE, at("2", two), index=9)
            await registry.start()
            await applied(registry, 9)
            assert await names(proxy, 3) == {b"b": 3}
            status = (await document(proxy, b"/api/status"))["services"]["api"]["registry"]
            assert not status["stale"]


async def test_an_empty_list_that_nobody_stands_by_is_not_believed(registry: RegistryPeer) -> None:
    async with answering() as one:
        registry.lists_of(SERVICE, at("1", one))
        async with found(registry) as proxy:
            await registry.say(
                type="list", service=SERVICE, index=1, authoritative=False, instances=[], epoch="e2"
            )
            view = proxy.discovery.view
            await eventually(lambda: (known := view(SERVICE)) and known.epoch == "e2")
            assert (await ask(proxy)).status == 200
            assert "stale" in repr(view(SERVICE))


async def test_a_start_without_a_registry_begins_with_what_is_on_disk(tmp_path: Path) -> None:
    cache = tmp_path / "registry.json"
    async with answering() as one:
        async with registry_peer() as peer:
            peer.lists_of(SERVICE, at("1", one))
            async with found(peer, source=Source((peer.url,), cache=cache)) as proxy:
                assert (await ask(proxy)).status == 200
        away = Source((f"http://127.0.0.1:{free_port()}",), cache=cache)
        async with found(peer, source=away) as proxy:
            assert (await ask(proxy)).status == 200
            assert not proxy.dependencies["registry"]
            stale = (await document(proxy, b"/api/status"))["services"]["api"]["registry"]["stale"]
            assert stale


async def test_a_start_waits_only_a_little_for_a_registry_that_is_away() -> None:
    source = Source((f"http://127.0.0.1:{free_port()}",))
    async with (
        answering() as one,
        registry_peer() as peer,
        found(peer, one.url, source=source) as proxy,
    ):
        assert (await ask(proxy)).status == 200


# -- what is told -------------------------------------------------------------------------------


async def test_what_is_seen_of_instances_is_reported(registry: RegistryPeer) -> None:
    async with (
        answering() as good,
        answering(answer(status=b"500 Oops")) as bad,
        answering() as written,
    ):
        nobody = at("3", free_port(), generation=5)
        registry.lists_of(SERVICE, at("1", good, generation=3), at("2", bad), nobody)
        async with found(registry, written.url, breaker={"failures": 1000}) as proxy:
            await names(proxy, 8)

            def seen(key: str) -> dict[str, float]:
                total: defaultdict[str, float] = defaultdict(float)
                for message in registry.said("observed"):
                    for one in message["observations"]:
                        total[one["id"]] += one[key]
                return dict(total)

            await eventually(lambda: sum(seen("requests").values()) == 6)
            assert seen("requests") == {"1": 2, "2": 2, "3": 2}
            assert seen("failures") == {"1": 0, "2": 2, "3": 2}
            assert seen("connect_errors") == {"1": 0, "2": 0, "3": 2}
            assert seen("latency_ms")["1"] > 0
            generations = {
                one["id"]: one["generation"]
                for message in registry.said("observed")
                for one in message["observations"]
            }
            assert generations == {"1": 3, "2": 1, "3": 5}


async def test_a_policy_that_measures_goes_on_measuring(registry: RegistryPeer) -> None:
    async with answering() as one:
        registry.lists_of(SERVICE, at("1", one))
        async with found(registry, balance="ewma") as proxy:
            await names(proxy, 3)
            await said(registry, at("1", one, weight=2), index=2)
            await names(proxy, 3)
            endpoint = pool_of(proxy).endpoint
            assert endpoint.latency > 0
            await eventually(lambda: registry.said("observed"))
            # No longer in the registry, but written down: nothing of it is left.
            written = config(one.url, service={"balance": "ewma"})
            await proxy.reload(written)
            assert pool_of(proxy).sighting is None
            assert pool_of(proxy).endpoint is endpoint
            assert isinstance(endpoint.observer, Ewma)


async def test_the_status_tells_where_endpoints_come_from(registry: RegistryPeer) -> None:
    async with answering() as one, answering() as written:
        gone = at("2", 9, health="draining", zone="us")
        registry.lists_of(SERVICE, at("1", one, zone="eu"), gone, index=4)
        async with found(registry, written.url) as proxy:
            service = (await document(proxy, b"/api/status"))["services"]["api"]
            addresses = {e["address"]: e["instance"] for e in service["endpoints"]}
            here = f"127.0.0.1:{one.port}"
            there = {"id": "1", "health": "passing", "zone": "eu", "generation": 1}
            assert addresses == {
                here: {**there, "address": here},
                f"127.0.0.1:{written.port}": None,
            }
            told = service["registry"]
            assert (told["name"], told["index"], told["stale"]) == ("api", 4, False)
            assert [(o["id"], o["health"], o["zone"]) for o in told["out"]] == [
                ("2", "draining", "us")
            ]
            report = proxy.report()
            assert Report.from_json(report.to_json()) == report

            metrics = (await ask(proxy, b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")).body
            assert b'proxy_dependency_up{name="registry"} 1' in metrics
            assert b'proxy_registry_views_total{service="api"} 1' in metrics
            assert b'proxy_registry_instances{service="api"} 2' in metrics
            assert b'proxy_registry_stale_seconds{service="api"} 0' in metrics


async def test_a_gateway_that_stops_is_waited_for_by_no_drain(registry: RegistryPeer) -> None:
    registry.lists_of(SERVICE)
    async with found(registry):
        await eventually(lambda: registry.said("applied"))
    await eventually(lambda: registry.said("unwatch"))


# -- reloads ------------------------------------------------------------------------------------


async def test_a_reload_begins_and_ends_to_follow_without_a_gap(registry: RegistryPeer) -> None:
    async with answering(answer(b"w")) as written, answering(answer(b"i")) as one:
        registry.lists_of(SERVICE, at("1", one))
        plain, following = config(written.url), config(service={"registry": True})
        stop, answers = asyncio.Event(), Counter[int]()
        source = Source((registry.url,))
        async with Gateway(plain) as proxy:
            assert not proxy.dependencies
            asking = [spawn(ask_on(proxy, stop, answers), name="ask") for _ in range(4)]
            for _ in range(5):
                await proxy.reload(following, registry=source)
                assert await names(proxy, 2) == {b"i": 2}
                await proxy.reload(plain)
                assert await names(proxy, 2) == {b"w": 2}
                assert not proxy.dependencies
            stop.set()
            await asyncio.gather(*asking)
    assert set(answers) == {200}


async def test_the_last_registry_is_left_only_when_the_next_has_answered(
    registry: RegistryPeer,
) -> None:
    async with registry_peer() as other, answering(answer(b"a")) as one, found(registry) as proxy:
        await said(registry, at("1", one.port), index=1)
        await other.stop()
        settings = config(service={"registry": True})
        await proxy.reload(settings, registry=Source((other.url,)))
        assert registry.said("unwatch") == []
        # Its drains still count here: it is by its list that requests are sent.
        await said(registry, at("1", one.port, health="draining"), index=2)
        assert (await ask(proxy)).status == 503

        other.lists_of(SERVICE, at("1", one.port))
        await other.start()
        await eventually(lambda: registry.said("unwatch"), patience=30.0)
        assert (await ask(proxy)).body == b"a"


async def test_a_reload_asks_another_registry_and_keeps_what_was_known_until_it_answers(
    registry: RegistryPeer,
) -> None:
    async with registry_peer() as other, answering(answer(b"a")) as one, answering() as two:
        registry.lists_of(SERVICE, at("1", one))
        settings = config(service={"registry": True})
        async with found(registry) as proxy:
            await proxy.reload(settings, registry=Source((other.url,), zone="eu"))
            assert await names(proxy, 2) == {b"a": 2}
            await eventually(lambda: other.said("watch"))
            await other.say(
                type="list",
                service=SERVICE,
                index=1,
                authoritative=True,
                instances=[at("2", two)],
            )
            await eventually(lambda: other.said("applied"))
            assert await names(proxy, 2) == {b"ok": 2}


async def test_a_service_cannot_be_found_without_a_registry() -> None:
    with pytest.raises(ValueError, match=r"set registry\.client\.url"):
        async with Gateway(config(service={"registry": True})):
            pass
    async with answering() as one, Gateway(config(one.url)) as proxy:
        with pytest.raises(ValueError, match=r"set registry\.client\.url"):
            await proxy.reload(config(service={"registry": True}))
        assert (await ask(proxy)).status == 200
