"""Where requests go when they are tied to an endpoint: hashing, sticky sessions, backups, ewma."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from time import monotonic, time
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web

from tests.peers.gateways import SERVICE, config, eventually, gateway, service_of
from tests.peers.scripted import Answering, Scripted, answer, answering, upstream
from tests.peers.servers import free_port
from tests.peers.wire import Message, Wire, connect
from uaitools.proxy import ProxyConfig, ReverseProxy
from uaitools.proxy.gateway import Gateway
from uaitools.traffic.balancing import Ewma
from uaitools.traffic.breaker import Cause
from uaitools.traffic.endpoint import Endpoint
from uaitools.traffic.sticky import Sessions

NAMES = (b"one", b"two", b"three")
SET_COOKIE = re.compile(
    rb"uai_route=([A-Za-z0-9_-]{40}); Path=/; Max-Age=3600; HttpOnly; SameSite=Lax(; Secure)?"
)
STICKY: dict[str, Any] = {"sticky": {}}
TRUSTED = ["127.0.0.0/8"]


@asynccontextmanager
async def fleet(count: int = 3) -> AsyncIterator[list[Answering]]:
    """Upstreams that answer with their names."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(answering(answer(name))) for name in NAMES[:count]]


def urls(servers: Sequence[Scripted]) -> list[str]:
    return [server.url for server in servers]


def get(*lines: str, path: str = "/x") -> bytes:
    return "\r\n".join((f"GET {path} HTTP/1.1", "Host: a", *lines, "", "")).encode()


async def ask(proxy: Gateway, *lines: str, path: str = "/x") -> Message:
    wire = await connect(proxy.address.port)
    wire.send(get(*lines, path=path))
    answered = await wire.message()
    wire.close()
    return answered


async def homes(proxy: Gateway, heads: Sequence[bytes]) -> list[bytes]:
    """Who answers each of these requests, on one connection."""
    wire = await connect(proxy.address.port)
    found = []
    for head in heads:
        wire.send(head)
        found.append((await wire.message()).body)
    wire.close()
    return found


def token(answered: Message) -> str:
    """The cookie that an answer sets, to be sent back."""
    match = SET_COOKIE.fullmatch(answered["set-cookie"])
    assert match is not None, answered["set-cookie"]
    return f"uai_route={match[1].decode()}"


def endpoint_of(proxy: Gateway, server: Scripted) -> Endpoint:
    (found,) = [e for e in service_of(proxy).pools if e.address.endswith(f":{server.port}")]
    return found


# -- consistent hashing -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "head"),
    [
        ("header:X-Tenant", lambda n: get(f"x-tenant:  {n}", f"X-Other: {n % 7}")),
        ("cookie:user", lambda n: get(f"Cookie: a=b; user={n}; c={n % 7}")),
        ("path", lambda n: get(path=f"/x/{n}?q={n % 7}")),
    ],
    ids=["header", "cookie", "path"],
)
async def test_equal_keys_meet_at_one_endpoint_and_keys_are_spread(source: str, head: Any) -> None:
    service = {"balance": "consistent_hash", "hash": source}
    async with fleet() as servers, gateway(*urls(servers), service=service) as proxy:
        once = await homes(proxy, [head(n) for n in range(60)])
        again = await homes(proxy, [head(n).replace(b"=b", b"=y") for n in range(60)])

        assert once == again
        assert min(Counter(once)[name] for name in NAMES) >= 5


async def test_a_request_without_the_header_is_hashed_by_its_client_s_address() -> None:
    service = {"balance": "consistent_hash", "hash": "header:X-Tenant"}
    async with fleet() as servers, gateway(*urls(servers), service=service) as proxy:
        assert len(set(await homes(proxy, [get(path=f"/{n}") for n in range(20)]))) == 1


async def test_a_client_s_address_is_the_one_that_trusted_proxies_tell() -> None:
    service = {"balance": "consistent_hash", "hash": "address"}
    heads = [get(f"X-Forwarded-For: 10.6.6.6, 10.0.0.{n}, 127.0.0.9") for n in range(30)]
    async with fleet() as servers:
        async with gateway(*urls(servers), service=service, trusted_proxies=TRUSTED) as proxy:
            found = await homes(proxy, heads)
            assert len(set(found)) == 3
            assert await homes(proxy, heads) == found
            forged = [head.replace(b"10.6.6.6", b"10.7.7.%d" % n) for n, head in enumerate(heads)]
            assert await homes(proxy, forged) == found, "what stands left of the client"
        async with gateway(*urls(servers), service=service) as proxy:
            assert len(set(await homes(proxy, heads))) == 1, "nobody is believed"


async def test_a_client_cannot_choose_its_key_by_a_header_that_only_proxies_may_set() -> None:
    service = {"balance": "consistent_hash", "hash": "header:X-User-Id"}
    heads = [get(f"X-User-Id: {n}") for n in range(30)]
    async with fleet() as servers:
        async with gateway(*urls(servers), service=service) as proxy:
            assert len(set(await homes(proxy, heads))) == 1
        async with gateway(*urls(servers), service=service, trusted_proxies=TRUSTED) as proxy:
            assert len(set(await homes(proxy, heads))) == 3


def in_flight(proxy: Gateway, count: int) -> bool:
    return sum(e.in_flight for e in service_of(proxy).pools) == count


async def test_a_hot_key_does_not_fill_one_endpoint() -> None:
    held = asyncio.Event()

    async def hold(wire: Wire) -> None:
        await wire.message()
        await held.wait()
        wire.send(answer(b"held"))

    service = {"balance": "consistent_hash", "hash": "path"}
    async with (
        upstream(hold) as one,
        upstream(hold) as two,
        gateway(one.url, two.url, service=service) as proxy,
    ):
        wires = [await connect(proxy.address.port) for _ in range(8)]
        for number, wire in enumerate(wires):
            wire.send(get())
            await eventually(partial(in_flight, proxy, number + 1))
        loads = sorted(e.in_flight for e in service_of(proxy).pools)
        assert loads == [3, 5], "at most ceil(1.25 * 8 / 2)"
        held.set()
        for wire in wires:
            assert (await wire.message()).body == b"held"
            wire.close()


# -- sticky sessions ----------------------------------------------------------------------------


async def test_a_client_comes_back_to_the_endpoint_that_its_cookie_names() -> None:
    async with fleet() as servers, gateway(*urls(servers), service=STICKY) as proxy:
        for _ in range(4):
            first = await ask(proxy)
            cookie = token(first)
            for n in range(5):
                again = await ask(proxy, f"Cookie: theme=dark; {cookie}; n={n}")
                assert again.body == first.body
                assert "set-cookie" not in again, "it has a good one"
        assert len({(await ask(proxy)).body for _ in range(6)}) == 3, "who has none is balanced"


async def test_a_service_that_is_not_sticky_sets_no_cookie() -> None:
    async with fleet(1) as servers, gateway(*urls(servers)) as proxy:
        assert "set-cookie" not in await ask(proxy)


async def test_the_cookie_hides_the_endpoint_s_address() -> None:
    async with fleet(1) as servers, gateway(*urls(servers), service=STICKY) as proxy:
        shown = token(await ask(proxy))
        assert str(servers[0].port) not in shown


@pytest.mark.parametrize(
    "forge",
    [
        lambda cookie: f"Cookie: {cookie[:-1]}{'A' if cookie[-1] != 'A' else 'B'}",
        lambda cookie: f"Cookie: {cookie}x",
        lambda cookie: f"Cookie: {cookie[:-20]}",
        lambda _: "Cookie: uai_route=",
        lambda _: "Cookie: uai_route=127.0.0.1:9001",
        lambda cookie: f"Cookie: {cookie}; {cookie}",
        lambda cookie: f"Cookie: {cookie}\r\nCookie: {cookie}",
        lambda cookie: f"X-Cookie: {cookie}",
    ],
    ids=["bit", "longer", "shorter", "empty", "address", "twice", "two lines", "other header"],
)
async def test_a_cookie_that_is_forged_or_doubled_is_ignored_and_replaced(forge: Any) -> None:
    async with fleet(2) as servers, gateway(*urls(servers), service=STICKY) as proxy:
        line = forge(token(await ask(proxy)))
        answers = [await ask(proxy, line) for _ in range(4)]

        assert {answered.body for answered in answers} == set(NAMES[:2]), "balanced"
        assert all(token(answered) for answered in answers)


async def test_a_cookie_of_another_service_or_secret_is_ignored_and_replaced() -> None:
    secret = {"secret": "0123456789abcdef0123456789abcdef"}
    async with fleet(2) as servers:
        async with gateway(*urls(servers), service=STICKY) as proxy:
            foreign = token(await ask(proxy))
        async with gateway(*urls(servers), service=STICKY, sticky=secret) as proxy:
            assert token(await ask(proxy, f"Cookie: {foreign}"))
            own = await ask(proxy)
        async with gateway(*urls(servers), service=STICKY, sticky=secret) as proxy:
            for _ in range(4):
                again = await ask(proxy, f"Cookie: {token(own)}")
                assert again.body == own.body, "another machine with the same secret"
                assert "set-cookie" not in again


async def test_a_cookie_is_renewed_when_half_of_its_time_has_gone_and_void_after_it() -> None:
    secret = "0123456789abcdef0123456789abcdef"
    settings = {"service": STICKY, "sticky": {"secret": secret}}
    async with fleet() as servers, gateway(*urls(servers), **settings) as proxy:
        home = endpoint_of(proxy, servers[1])
        sessions = Sessions(secret.encode(), SERVICE, 3600, [home])

        def aged(seconds: int) -> str:
            return f"Cookie: uai_route={sessions.write(home, int(time()) - seconds).decode()}"

        young = [await ask(proxy, aged(1700)) for _ in range(4)]
        assert {answered.body for answered in young} == {b"two"}
        assert not [answered for answered in young if "set-cookie" in answered]
        old = [await ask(proxy, aged(1900)) for _ in range(4)]
        assert {answered.body for answered in old} == {b"two"}
        assert all(token(answered) for answered in old)
        void = [await ask(proxy, aged(3600)) for _ in range(6)]
        assert {answered.body for answered in void} == set(NAMES)


async def test_the_session_of_an_ejected_endpoint_moves_and_stays_where_it_went() -> None:
    async with fleet() as servers, gateway(*urls(servers), service=STICKY) as proxy:
        first = await ask(proxy)
        home = endpoint_of(proxy, servers[NAMES.index(first.body)])
        home.breaker.eject(monotonic(), Cause.CHECK)

        second = await ask(proxy, f"Cookie: {token(first)}")
        assert second.body != first.body
        for _ in range(4):
            assert (await ask(proxy, f"Cookie: {token(second)}")).body == second.body


async def test_a_retry_names_the_endpoint_that_answered_and_no_other() -> None:
    gone = f"http://127.0.0.1:{free_port()}"
    service = {**STICKY, "retry": {"tries": 2}}
    async with fleet(1) as servers, gateway(gone, *urls(servers), service=service) as proxy:
        answers = [await ask(proxy) for _ in range(4)]
        assert service_of(proxy).retries
        for answered in answers:
            again = await ask(proxy, f"Cookie: {token(answered)}")
            assert (again.status, again.body) == (200, b"one")
            assert "set-cookie" not in again


async def test_an_error_of_our_own_names_no_endpoint() -> None:
    async with gateway(f"http://127.0.0.1:{free_port()}", service=STICKY) as proxy:
        answered = await ask(proxy)
        assert answered.status == 502
        assert "set-cookie" not in answered


async def test_the_cookie_is_secure_when_the_client_came_by_https() -> None:
    https = "X-Forwarded-Proto: https"
    async with fleet(1) as servers:
        async with gateway(*urls(servers), service=STICKY, trusted_proxies=TRUSTED) as proxy:
            assert (await ask(proxy, https))["set-cookie"].endswith(b"; Secure")
            assert b"Secure" not in (await ask(proxy))["set-cookie"]
        async with gateway(*urls(servers), service=STICKY) as proxy:
            assert b"Secure" not in (await ask(proxy, https))["set-cookie"], "not believed"


async def test_a_tunnel_sets_the_cookie_too() -> None:
    switching = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"

    async def accept(wire: Wire) -> None:
        await wire.message()
        wire.send(switching + b"Sec-WebSocket-Accept: x\r\n\r\n")
        await wire.rest()

    async with upstream(accept) as server, gateway(server.url, service=STICKY) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(
            get(
                "Connection: Upgrade",
                "Upgrade: websocket",
                "Sec-WebSocket-Version: 13",
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            )
        )
        head = await wire.head()
        assert head.status == 101
        assert token(head)
        wire.close()


async def test_a_session_and_its_secret_outlive_a_reload() -> None:
    async with fleet() as servers, gateway(*urls(servers), service=STICKY) as proxy:
        first = await ask(proxy)
        await proxy.reload(config(*urls(servers)[::-1], service=STICKY))
        for _ in range(4):
            again = await ask(proxy, f"Cookie: {token(first)}")
            assert again.body == first.body
            assert "set-cookie" not in again

        await proxy.reload(config(*urls(servers)))
        assert len({(await ask(proxy, f"Cookie: {token(first)}")).body for _ in range(6)}) == 3


async def test_the_aiohttp_handler_sets_the_cookie_and_follows_it() -> None:
    async with fleet(2) as servers:
        proxy = ReverseProxy(
            config=ProxyConfig.model_validate(
                {
                    "services": {SERVICE: {"endpoints": urls(servers), **STICKY}},
                    "routes": [{"path": "/", "service": SERVICE}],
                }
            )
        )
        app = web.Application()
        app.cleanup_ctx.append(proxy.lifespan)
        app.router.add_route("*", "/{tail:.*}", proxy.handle)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        jar = aiohttp.CookieJar(unsafe=True)  # takes cookies of bare addresses
        async with aiohttp.ClientSession(cookie_jar=jar) as session:
            bodies = set()
            for _ in range(5):
                async with session.get(f"http://127.0.0.1:{port}/x") as answered:
                    bodies.add(await answered.read())
            assert len(bodies) == 1
            assert len(jar) == 1
        await runner.cleanup()


# -- backups, ewma, status ----------------------------------------------------------------------


async def status(proxy: Gateway) -> dict[str, Any]:
    body: dict[str, Any] = orjson.loads((await ask(proxy, path="/api/status")).body)
    found: dict[str, Any] = body["services"][SERVICE]
    return found


async def test_a_backup_answers_while_the_primary_is_away_and_no_longer() -> None:
    async with fleet(2) as servers:
        primary, spare = servers
        async with gateway(primary.url, {"url": spare.url, "backup": True}) as proxy:
            assert {(await ask(proxy)).body for _ in range(4)} == {b"one"}
            home = endpoint_of(proxy, primary)
            home.breaker.eject(monotonic(), Cause.CONNECT, monotonic() + 1000)
            assert {(await ask(proxy)).body for _ in range(4)} == {b"two"}
            home.breaker.eject(monotonic(), Cause.CONNECT, monotonic())
            assert {(await ask(proxy)).body for _ in range(4)} == {b"one"}, "the probe went well"
            shown = (await status(proxy))["endpoints"]
            assert sorted(one["backup"] for one in shown) == [False, True]


async def test_ewma_sends_calls_where_answers_come_sooner_and_shows_its_estimates() -> None:
    async def slow(wire: Wire) -> None:
        while not wire.ended:
            await wire.message()
            await asyncio.sleep(0.05)
            wire.send(answer(b"slow"))

    async with (
        upstream(slow) as one,
        answering(answer(b"fast")) as two,
        gateway(one.url, two.url, service={"balance": "ewma"}) as proxy,
    ):
        found = Counter([(await ask(proxy)).body for _ in range(40)])
        assert found[b"fast"] >= 35
        assert found[b"slow"] >= 1, "until it was known"
        shown = await status(proxy)
        assert shown["balance"] == "ewma"
        estimates = {one["address"].rpartition(":")[2]: one for one in shown["endpoints"]}
        assert 20 < estimates[str(one.port)]["ewma_ms"] < 500
        assert estimates[str(two.port)]["ewma_ms"] < 20
        assert estimates[str(two.port)]["in_flight"] == 0


async def test_ewma_hears_of_failures_and_of_retries() -> None:
    gone = f"http://127.0.0.1:{free_port()}"
    service = {"balance": "ewma", "retry": {"tries": 2}}
    async with fleet(1) as servers, gateway(gone, *urls(servers), service=service) as proxy:
        assert {(await ask(proxy)).status for _ in range(10)} == {200}
        bad, good = service_of(proxy).endpoints
        assert bad.latency >= 1.0
        assert bad.breaker.failures == 1, "it is not asked again soon"
        assert 0.0 < good.latency < 0.5


async def test_ewma_does_not_blame_an_endpoint_for_a_client_that_sends_slowly() -> None:
    async with fleet(1) as servers, gateway(*urls(servers), service={"balance": "ewma"}) as proxy:
        (endpoint,) = service_of(proxy).endpoints
        wire = await connect(proxy.address.port)
        wire.send(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbo")
        await (await servers[0].accepted()).until(lambda: servers[0].received.endswith(b"bo"))
        begun = monotonic()
        await eventually(lambda: monotonic() - begun > 0.2)
        wire.send(b"dy")
        assert (await wire.message()).status == 200
        assert 0.0 < endpoint.latency < 0.15
        wire.close()


async def test_ewma_notices_an_endpoint_that_hangs_by_the_clients_that_leave() -> None:
    quick = [True]

    async def hang(wire: Wire) -> None:
        while not wire.ended:
            await wire.message()
            if not quick.pop():
                break
            quick.append(False)
            wire.send(answer())
        await wire.rest()

    async with upstream(hang) as server, gateway(server.url, service={"balance": "ewma"}) as proxy:
        (endpoint,) = service_of(proxy).endpoints
        await ask(proxy)
        known = endpoint.latency
        wire = await connect(proxy.address.port)
        wire.send(get())
        await eventually(lambda: endpoint.in_flight)
        begun = monotonic()
        await eventually(lambda: monotonic() - begun > max(0.1, 2 * known))
        wire.close()
        await eventually(lambda: not endpoint.in_flight)
        assert endpoint.latency > max(0.1, known)


@pytest.mark.parametrize("policy", ["round_robin", "least_requests", "ewma", "random"])
async def test_every_policy_reaches_every_endpoint_and_is_named_in_the_status(policy: str) -> None:
    async with fleet() as servers, gateway(*urls(servers), service={"balance": policy}) as proxy:
        found = Counter(await homes(proxy, [get(path=f"/{n}") for n in range(60)]))
        assert set(found) == set(NAMES)
        shown = await status(proxy)
        assert shown["balance"] == policy
        assert (shown["endpoints"][0]["ewma_ms"] is not None) == (policy == "ewma")


async def test_a_policy_changes_with_a_reload_and_a_reload_of_the_same_disturbs_no_turn() -> None:
    async with fleet(2) as servers, gateway(*urls(servers)) as proxy:
        before = service_of(proxy).balancer
        found = [(await ask(proxy)).body]
        await proxy.reload(config(*urls(servers)))
        assert service_of(proxy).balancer is before
        found.append((await ask(proxy)).body)
        assert found == [b"one", b"two"]

        await proxy.reload(config(*urls(servers), service={"balance": "ewma"}))
        assert (await status(proxy))["balance"] == "ewma"
        assert all(isinstance(e.observer, Ewma) for e in service_of(proxy).pools)
        await proxy.reload(config(*urls(servers), service={"balance": "random"}))
        assert all(e.observer is None for e in service_of(proxy).pools)
