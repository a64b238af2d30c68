"""Guards: who may pass to a service, and what the service learns of them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.auth.issuers import AUDIENCE, ISSUER, SECRET, SERVICE_SECRET, KeyServer, jwk, signed
from tests.peers.gateways import config, eventually, gateway, pool_of, service_of
from tests.peers.scripted import Answering, answering, hang, upstream
from tests.peers.wire import Message, Wire, connect
from uaitools.auth.config import AuthConfig
from uaitools.auth.keyfile import change
from uaitools.auth.keys import new_key
from uaitools.auth.service_token import ServiceTokens
from uaitools.proxy.gateway import Gateway


def request(*lines: str, line: str = "GET /x HTTP/1.1") -> bytes:
    return "\r\n".join((line, "Host: a", *lines, "", "")).encode()


def token(**claims: object) -> str:
    now = int(time.time())
    whole = {"sub": "ada", "aud": AUDIENCE, "exp": now + 600, "scope": "chat read", **claims}
    return signed("HS256", whole).decode()


def bearer(text: str) -> str:
    return f"Authorization: Bearer {text}"


class Keys:
    """A key file with one key."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "keys.json"
        self.text = self.add("ci", scopes=["chat"])

    def add(self, name: str, **fields: Any) -> str:
        text, record = new_key(name, created=datetime.now(UTC), **fields)
        return change(self.path, lambda records: ((*records, record), text))

    def revoke(self) -> None:
        moment = datetime.now(UTC) - timedelta(seconds=1)

        def edit(records: Any) -> Any:
            return [one.model_copy(update={"revoked": moment}) for one in records], None

        change(self.path, edit)


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path)


def accepting(keys: Keys, **settings: object) -> AuthConfig:
    jwt = {"secret": SECRET, "audience": AUDIENCE}
    return AuthConfig.model_validate({"keys_file": keys.path, "jwt": jwt, **settings})


@contextlib.asynccontextmanager
async def guarded(
    auth: AuthConfig | None, proxy: dict[str, Any] | None = None, /, **route: Any
) -> AsyncIterator[tuple[Gateway, Answering]]:
    """A gateway whose one route has these settings, in front of an upstream that answers."""
    routes = [{"path": "/", "service": "api", **route}]
    async with answering() as server:
        settings = config(server.url, routes=routes, **(proxy or {}))
        async with Gateway(settings, auth=auth) as running:
            yield running, server


async def ask(proxy: Gateway, *lines: str, **kinds: Any) -> Message:
    wire = await connect(proxy.address.port)
    wire.send(request(*lines, **kinds))
    answered = await wire.message()
    wire.close()
    return answered


# -- credentials ----------------------------------------------------------------------------


async def test_without_a_credential_the_answer_is_401_and_says_how(keys: Keys) -> None:
    async with guarded(accepting(keys), auth="required") as (proxy, server):
        answered = await ask(proxy)

    assert answered.status == 401
    assert answered["www-authenticate"] == b'Bearer realm="uaitools"'
    assert orjson.loads(answered.body)["service"] == "proxy"
    assert server.received == b""


@pytest.mark.parametrize("name", ["X-API-Key: {}", "x-api-KEY:{} ", "Authorization: Bearer {}"])
async def test_a_key_lets_pass_and_the_upstream_learns_whose_it_is(keys: Keys, name: str) -> None:
    async with guarded(accepting(keys), auth="required") as (proxy, server):
        assert (await ask(proxy, name.format(keys.text))).status == 200

    (seen,) = server.requests
    assert seen["x-user-id"].startswith(b"key:")
    assert seen["x-user-scopes"] == b"chat"
    assert keys.text.encode() not in server.received


async def test_a_jwt_lets_pass_and_the_upstream_learns_whose_it_is(keys: Keys) -> None:
    async with guarded(accepting(keys), auth="required") as (proxy, server):
        assert (await ask(proxy, bearer(token()))).status == 200

    (seen,) = server.requests
    assert (seen["x-user-id"], seen["x-user-scopes"]) == (b"ada", b"chat read")
    assert "authorization" not in seen


async def test_a_credential_is_forwarded_where_the_route_says_so(keys: Keys) -> None:
    settings = {"auth": "required", "forward_credentials": True}
    async with guarded(accepting(keys), **settings) as (proxy, server):
        await ask(proxy, f"X-API-Key: {keys.text}")

    (seen,) = server.requests
    assert seen["x-api-key"] == keys.text.encode()
    assert "x-user-id" in seen


async def test_a_route_that_asks_nobody_leaves_credentials_alone(keys: Keys) -> None:
    async with guarded(accepting(keys), auth="none") as (proxy, server):
        await ask(proxy, "Authorization: Basic abc", "X-API-Key: theirs")

    (seen,) = server.requests
    assert (seen["authorization"], seen["x-api-key"]) == (b"Basic abc", b"theirs")
    assert "x-user-id" not in seen


async def test_routes_ask_where_auth_enabled_says_so_but_for_those_that_do_not(keys: Keys) -> None:
    open_route = {"path": "/open", "service": "api", "auth": "none"}
    routes: list[dict[str, object]] = [{"path": "/", "service": "api"}, {**open_route}]
    async with answering() as server:
        settings = config(server.url, routes=routes, auth_enabled=True)
        async with Gateway(settings, auth=accepting(keys)) as proxy:
            assert (await ask(proxy)).status == 401
            assert (await ask(proxy, line="GET /open HTTP/1.1")).status == 200


@pytest.mark.parametrize(
    ("settings", "route", "status"),
    [
        ({}, {}, 401),
        ({"auth_enabled": False}, {}, 200),
        ({}, {"auth": "none"}, 200),
        ({"auth_enabled": False}, {"scopes": ["chat"]}, 401),
        ({"auth_enabled": False}, {"roles": ["admin"]}, 401),
    ],
)
async def test_once_there_is_auth_nothing_is_open_but_what_says_so(
    keys: Keys, settings: dict[str, Any], route: dict[str, Any], status: int
) -> None:
    async with guarded(accepting(keys), settings, **route) as (proxy, _):
        assert (await ask(proxy)).status == status


async def test_without_auth_scopes_are_refused_at_the_start() -> None:
    with pytest.raises(ValueError, match=r"configure \[auth\]"):
        async with guarded(None, scopes=["chat"]):
            pass


async def test_an_optional_credential_may_be_missing_but_not_wrong(keys: Keys) -> None:
    async with guarded(accepting(keys), auth="optional") as (proxy, server):
        assert (await ask(proxy)).status == 200
        assert (await ask(proxy, bearer(token()))).status == 200
        assert (await ask(proxy, bearer(token(aud="another")))).status == 401

    nobody, somebody = server.requests
    assert "x-user-id" not in nobody
    assert somebody["x-user-id"] == b"ada"


@pytest.mark.parametrize(
    "lines",
    [
        ["Authorization: Basic dXNlcjpwYXNz"],
        ["Authorization: Bearer"],
        ["Authorization: Bearer one two"],
        ["X-API-Key: uai_000000000000_" + "a" * 43],
        ["X-API-Key: "],
        [bearer("a.b.c")],
        [bearer("e30.e30.")],
    ],
)
async def test_a_wrong_credential_is_401_each_time(keys: Keys, lines: list[str]) -> None:
    async with guarded(accepting(keys), auth="required") as (proxy, server):
        for _ in range(4):  # what is remembered must not differ from what is judged
            answered = await ask(proxy, *lines)
            assert answered.status in (400, 401)
            assert answered["www-authenticate"].startswith(b"Bearer")
        assert server.received == b""


async def test_two_credentials_of_one_name_are_refused(keys: Keys) -> None:
    async with guarded(accepting(keys), auth="required") as (proxy, server):
        twice = [bearer(token()), bearer(token(sub="eve"))]
        assert (await ask(proxy, *twice)).status == 400
        assert server.received == b""


async def test_a_credential_that_connection_names_is_none(keys: Keys) -> None:
    async with guarded(accepting(keys), auth="required") as (proxy, _):
        lines = [bearer(token()), "Connection: keep-alive, authorization"]
        assert (await ask(proxy, *lines)).status == 401


@pytest.mark.parametrize(
    ("settings", "claims", "status"),
    [
        ({"scopes": ["chat"]}, {}, 200),
        ({"scopes": ["chat", "read"]}, {}, 200),
        ({"scopes": ["chat", "write"]}, {}, 403),
        ({"roles": ["admin", "owner"]}, {"roles": ["owner"]}, 200),
        ({"roles": ["admin", "owner"]}, {"roles": ["guest"]}, 403),
        ({"scopes": ["write"]}, {"scope": "*"}, 200),
    ],
)
async def test_scopes_and_roles(
    keys: Keys, settings: dict[str, Any], claims: dict[str, Any], status: int
) -> None:
    async with guarded(accepting(keys), auth="required", **settings) as (proxy, _):
        answered = await ask(proxy, bearer(token(**claims)))

    assert answered.status == status
    if status == 403:
        assert b"insufficient_scope" in answered["www-authenticate"]


async def test_who_has_no_credential_lacks_scopes_of_an_optional_route(keys: Keys) -> None:
    async with guarded(accepting(keys), auth="optional", scopes=["chat"]) as (proxy, _):
        assert (await ask(proxy)).status == 403


# -- what is remembered ---------------------------------------------------------------------


async def test_a_key_that_is_revoked_is_refused_on_a_connection_that_used_it(keys: Keys) -> None:
    async with guarded(accepting(keys), auth="required") as (proxy, _):
        wire = await connect(proxy.address.port)
        raw = request(f"X-API-Key: {keys.text}")
        for _ in range(3):
            wire.send(raw)
            assert (await wire.message()).status == 200
        keys.revoke()
        for _ in range(100):
            wire.send(raw)
            if (await wire.message()).status == 401:
                break
            await asyncio.sleep(0.05)
        else:
            pytest.fail("the key still lets pass, 5 s after it was revoked")
        wire.close()


async def test_a_token_that_expires_is_refused_on_a_connection_that_used_it(keys: Keys) -> None:
    auth = accepting(keys, jwt={"secret": SECRET, "audience": AUDIENCE, "leeway": 0})
    async with guarded(auth, auth="required") as (proxy, _):
        wire = await connect(proxy.address.port)
        expires = int(time.time()) + 2
        raw = request(bearer(token(exp=expires)))
        statuses = []
        while time.time() < expires + 0.2:
            wire.send(raw)
            before, status, after = time.time(), (await wire.message()).status, time.time()
            if after < expires:
                assert status == 200
            if before > expires:
                assert status == 401
            statuses.append(status)
            await asyncio.sleep(0.05)
        wire.close()
        assert {200, 401} == set(statuses)


# -- the principal token --------------------------------------------------------------------


async def test_the_upstream_can_check_who_it_is(keys: Keys) -> None:
    auth = accepting(keys, service_secret=SERVICE_SECRET)
    async with guarded(auth, auth="required") as (proxy, server):
        await ask(proxy, bearer(token(roles=["owner"])))
        await ask(proxy, bearer(token(roles=["owner"])), "X-Other: 1")

    tokens = {seen["x-user-token"] for seen in server.requests}
    assert len(tokens) == 1, "signed once while it lasts"
    principal = ServiceTokens(SERVICE_SECRET.encode()).verify(tokens.pop(), "api", time.time())
    assert (principal.id, principal.roles) == ("ada", frozenset({"owner"}))
    assert principal.expires <= time.time() + 65  # a minute, and what clocks may differ


FORGED = ("X-User-Id: root", "X-User-Scopes: *", "x-user-token: forged", "X-USER-Other: 1")


@pytest.mark.parametrize("trusted", [False, True])
async def test_what_a_client_says_of_itself_never_passes_a_guard(
    keys: Keys, *, trusted: bool
) -> None:
    networks = {"trusted_proxies": ["127.0.0.0/8"]} if trusted else {}
    async with guarded(accepting(keys), networks, auth="optional") as (proxy, server):
        await ask(proxy, *FORGED)
        await ask(proxy, *FORGED, bearer(token()))

    nobody, somebody = server.requests
    assert not [name for name, _ in nobody.fields if name.startswith("x-user")]
    assert somebody.all("x-user-id") == [b"ada"]
    assert not somebody.all("x-user-token")


# -- keys that have to be fetched -----------------------------------------------------------


async def test_a_request_waits_for_the_keys_of_its_issuer(keys: Keys) -> None:
    server = KeyServer(jwk("ES256"))
    await server.start()
    server.slow.clear()
    issuer = {"jwks_url": server.url, "issuer": ISSUER, "audience": AUDIENCE}
    claims = {"iss": ISSUER, "sub": "ada", "aud": AUDIENCE, "exp": int(time.time()) + 600}
    try:
        async with guarded(accepting(keys, jwt=issuer), auth="required") as (proxy, behind):
            wire = await connect(proxy.address.port)
            credential = bearer(signed("ES256", claims).decode())
            wire.send(request(credential, "Content-Length: 4", line="POST /x HTTP/1.1"))
            await eventually(lambda: server.asked)
            wire.send(b"body")
            assert not wire.received
            server.slow.set()
            assert (await wire.message()).status == 200
            wire.close()
            assert behind.requests[-1].body == b"body"
    finally:
        server.slow.set()
        await server.stop()


# -- addresses ------------------------------------------------------------------------------


async def test_clients_of_other_networks_are_forbidden() -> None:
    async with guarded(None, allow=["10.0.0.0/8"]) as (proxy, server):
        assert (await ask(proxy)).status == 403
        assert server.received == b""


async def test_clients_of_a_denied_network_are_forbidden() -> None:
    async with guarded(None, deny=["127.0.0.0/8"]) as (proxy, _):
        assert (await ask(proxy)).status == 403


@pytest.mark.parametrize(
    ("forwarded", "status"),
    [
        ("10.1.1.1", 200),
        ("192.0.2.7", 403),
        ("10.1.1.1, 192.0.2.7", 403),  # the first is what the second has said
        ("192.0.2.7, 10.1.1.1", 200),
        ("nonsense", 403),
    ],
)
async def test_behind_a_trusted_proxy_it_is_the_client_that_counts(
    forwarded: str, status: int
) -> None:
    trusting = {"trusted_proxies": ["127.0.0.0/8"]}
    async with guarded(None, trusting, allow=["10.0.0.0/8"]) as (proxy, _):
        assert (await ask(proxy, f"X-Forwarded-For: {forwarded}")).status == status


async def test_what_anybody_says_about_its_address_counts_for_nothing() -> None:
    async with guarded(None, allow=["10.0.0.0/8"]) as (proxy, _):
        assert (await ask(proxy, "X-Forwarded-For: 10.1.1.1")).status == 403


async def test_what_can_be_answered_at_once_makes_no_task(keys: Keys) -> None:
    made: list[str] = []
    settings: dict[str, Any] = {
        "auth": "required",
        "deny": ["192.0.2.0/24"],
        "limits": ["1000/s", {"quota": "1000/day", "key": "address"}],
        "concurrency": 5,
    }

    def factory(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
        task = asyncio.Task(work, loop=loop, **options)
        made.append(task.get_name())
        return task

    async with guarded(accepting(keys), **settings) as (proxy, _):
        wire = await connect(proxy.address.port)
        for credential in (bearer(token()), f"X-API-Key: {keys.text}", "X-API-Key: wrong"):
            for _ in range(2):
                wire.send(request(credential))
                await wire.message()
                asyncio.get_running_loop().set_task_factory(factory)  # the connection stands now
        asyncio.get_running_loop().set_task_factory(None)
        wire.close()

    assert made == []


# -- how many at once -----------------------------------------------------------------------


async def test_one_caller_has_so_many_requests_under_way() -> None:
    routes = [{"path": "/", "service": "api", "concurrency": 2}]
    async with upstream(hang) as server, gateway(server.url, routes=routes) as proxy:
        first, second = await connect(proxy.address.port), await connect(proxy.address.port)
        first.send(request())
        second.send(request())
        await server.accepted(2)
        answered = await ask(proxy)
        assert (answered.status, answered["retry-after"]) == (429, b"1")

        first.transport.abort()  # who leaves makes room
        await eventually(lambda: pool_of(proxy).endpoint.in_flight == 1)
        third = await connect(proxy.address.port)
        third.send(request())
        await server.accepted(3)
        for wire in (second, third):
            wire.transport.abort()
        await eventually(lambda: pool_of(proxy).endpoint.in_flight == 0)


async def test_callers_are_told_apart(keys: Keys) -> None:
    routes = [{"path": "/", "service": "api", "concurrency": 1, "auth": "required"}]
    async with upstream(hang) as server:
        settings = config(server.url, routes=routes)
        async with Gateway(settings, auth=accepting(keys)) as proxy:
            wires = [await connect(proxy.address.port) for _ in range(2)]
            for wire, user in zip(wires, ("ada", "bob"), strict=True):
                wire.send(request(bearer(token(sub=user))))
            await server.accepted(2)
            assert (await ask(proxy, bearer(token(sub="ada")))).status == 429
            for wire in wires:
                wire.transport.abort()
            await eventually(lambda: pool_of(proxy).endpoint.in_flight == 0)


async def switch(wire: Wire) -> None:
    await wire.head()
    wire.send(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    )
    await wire.rest()


async def test_a_tunnel_is_under_way_until_it_ends() -> None:
    upgrade = request("Connection: Upgrade", "Upgrade: websocket")
    routes = [{"path": "/", "service": "api", "concurrency": 1}]
    async with upstream(switch) as server, gateway(server.url, routes=routes) as proxy:
        for _ in range(2):
            wire = await connect(proxy.address.port)
            wire.send(upgrade)
            assert (await wire.head()).status == 101
            assert (await ask(proxy)).status == 429
            wire.transport.abort()
            await eventually(lambda: not proxy.clients)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2001:db8::1", "2001:db8::2"),
        ("192.0.2.1", "::ffff:192.0.2.1"),
        ("192.0.2.1:80", "192.0.2.1:81"),
    ],
)
async def test_who_owns_several_addresses_is_one_caller(one: str, other: str) -> None:
    routes = [{"path": "/", "service": "api", "concurrency": 1}]
    trusted = {"trusted_proxies": ["127.0.0.0/8"]}
    async with upstream(hang) as server, gateway(server.url, routes=routes, **trusted) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(request(f"X-Forwarded-For: {one}"))
        await server.accepted()
        assert (await ask(proxy, f"X-Forwarded-For: {other}")).status == 429
        wire.transport.abort()


async def test_a_service_has_so_many_requests_under_way_in_all() -> None:
    service = {"limits": {"concurrency": 1}}
    async with upstream(hang) as server, gateway(server.url, service=service) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(request())
        await server.accepted()
        assert (await ask(proxy)).status == 503
        wire.transport.abort()
        await eventually(lambda: service_of(proxy).concurrency is not None)
        await eventually(lambda: len(service_of(proxy).concurrency or ()) == 0)


async def test_answers_that_end_make_room_again() -> None:
    async with guarded(None, concurrency=1) as (proxy, server):
        for _ in range(20):
            assert (await ask(proxy)).status == 200
        assert len(server.requests) == 20


# -- the gateway's own paths ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "scope", "status"),
    [
        ("/health", None, 200),
        ("/metrics", None, 401),
        ("/metrics", "chat", 403),
        ("/metrics", "ops:read", 200),
        ("/api/status", None, 401),
        ("/api/status", "ops:read", 200),
    ],
)
async def test_the_gateways_own_paths(
    keys: Keys, path: str, scope: str | None, status: int
) -> None:
    lines = [bearer(token(scope=scope))] if scope else []
    async with guarded(accepting(keys)) as (proxy, _):
        assert (await ask(proxy, *lines, line=f"GET {path} HTTP/1.1")).status == status


# -- configuration --------------------------------------------------------------------------


async def test_a_reload_may_bring_other_keys(keys: Keys, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    others = Keys(tmp_path / "other")
    async with guarded(accepting(keys), auth="required") as (proxy, _):
        assert (await ask(proxy, f"X-API-Key: {others.text}")).status == 401
        await proxy.reload(proxy.config, accepting(others))
        assert (await ask(proxy, f"X-API-Key: {others.text}")).status == 200
        assert (await ask(proxy, f"X-API-Key: {keys.text}")).status == 401


async def test_a_route_that_asks_needs_somebody_who_knows() -> None:
    with pytest.raises(ValueError, match=r"configure \[auth\]"):
        async with guarded(None, auth="required"):
            pass


# -- how many in a time ---------------------------------------------------------------------


async def test_a_limit_admits_its_burst_and_tells_what_is_left() -> None:
    limits = [{"rate": "2/m", "name": "small"}]
    async with guarded(None, limits=limits) as (proxy, server):
        first, second, third = [await ask(proxy) for _ in range(3)]

    assert [a.status for a in (first, second, third)] == [200, 200, 429]
    assert first["ratelimit-policy"] == b'"small";q=2;w=60'
    assert first["ratelimit"].startswith(b'"small";r=1;t=')
    assert third["ratelimit"].startswith(b'"small";r=0;t=')
    assert 29 <= int(third["retry-after"]) <= 30
    assert orjson.loads(third.body)["code"] == 429
    assert len(server.requests) == 2


async def test_of_several_limits_the_strictest_answers_and_the_others_count_nothing() -> None:
    limits = [{"rate": "100/h", "name": "wide"}, {"quota": "2/month", "name": "narrow"}]
    async with guarded(None, limits=limits) as (proxy, _):
        answers = [await ask(proxy) for _ in range(4)]

    assert [a.status for a in answers] == [200, 200, 429, 429]
    assert answers[1].all("ratelimit")[0].startswith(b'"wide";r=98')
    assert answers[3]["ratelimit"].startswith(b'"narrow";r=0')


async def test_callers_have_limits_of_their_own_and_strangers_those_of_their_address(
    keys: Keys,
) -> None:
    settings = {"auth": "optional", "limits": ["1/h"]}
    async with guarded(accepting(keys), **settings) as (proxy, _):
        for user in ("ada", "bob"):
            credential = bearer(token(sub=user))
            assert (await ask(proxy, credential)).status == 200
            assert (await ask(proxy, credential, "X-Other: 1")).status == 429
        assert (await ask(proxy)).status == 200
        assert (await ask(proxy)).status == 429


async def test_another_token_of_one_caller_is_no_other_caller(keys: Keys) -> None:
    async with guarded(accepting(keys), auth="required", limits=["1/h"]) as (proxy, _):
        assert (await ask(proxy, bearer(token(jti="1")))).status == 200
        assert (await ask(proxy, bearer(token(jti="2")))).status == 429


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["X-Forwarded-For: 192.0.2.1"], ["X-Forwarded-For: 192.0.2.1, 127.0.0.1"]),
        (["X-Forwarded-For: 2001:db8::1"], ["X-Forwarded-For: 2001:DB8:0:0:ffff::2"]),
        (["X-Forwarded-For: 192.0.2.1"], ["X-Forwarded-For: ::ffff:192.0.2.1"]),
        (["X-Forwarded-For: 192.0.2.1"], ["X-Forwarded-For: 10.9.9.9, 192.0.2.1"]),
    ],
)
async def test_an_address_has_one_limit_however_it_is_written(
    one: list[str], other: list[str]
) -> None:
    trusting = {"trusted_proxies": ["127.0.0.0/8"]}
    limits = [{"rate": "1/h", "key": "address"}]
    async with guarded(None, trusting, limits=limits) as (proxy, _):
        assert (await ask(proxy, *one)).status == 200
        assert (await ask(proxy, *other)).status == 429


async def test_a_client_cannot_choose_its_address() -> None:
    limits = [{"rate": "1/h", "key": "address"}]
    async with guarded(None, limits=limits) as (proxy, _):
        assert (await ask(proxy, "X-Forwarded-For: 192.0.2.1")).status == 200
        assert (await ask(proxy, "X-Forwarded-For: 192.0.2.2")).status == 429


@pytest.mark.parametrize(
    ("one", "other", "status"),
    [
        ("X-Tenant: a", "X-Tenant: b", 200),
        ("X-Tenant: a", "x-tenant:  a ", 429),
        ("X-API-Key: k", "x-api-key: k", 429),
        ("X-Other: 1", "X-Other: 2", 429),  # without the header it is the address
    ],
)
async def test_a_header_may_tell_callers_apart(one: str, other: str, status: int) -> None:
    name = "X-API-Key" if "API" in one else "X-Tenant"
    limits = [{"rate": "1/h", "key": f"header:{name}"}]
    async with guarded(None, limits=limits) as (proxy, _):
        assert (await ask(proxy, one)).status == 200
        assert (await ask(proxy, other)).status == status


@pytest.mark.parametrize("name", ["Host", "X-Forwarded-Host", "X-User-Id"])
async def test_a_header_that_is_not_only_forwarded_may_tell_callers_apart_too(name: str) -> None:
    limits = [{"rate": "1/m", "key": f"header:{name}"}]
    trusting = {"trusted_proxies": ["127.0.0.0/8"]}
    async with guarded(None, trusting, limits=limits) as (proxy, _):
        statuses = []
        for value in ("a", "b", "a"):
            lines = [f"{name}: {value}"] if name != "Host" else []
            raw = request(*lines).replace(b"Host: a", b"Host: " + value.encode())
            wire = await connect(proxy.address.port)
            wire.send(raw)
            statuses.append((await wire.message()).status)
            wire.close()

    assert statuses == [200, 200, 429]


async def test_routes_have_limits_of_their_own_and_the_default_is_one_for_all() -> None:
    own = {"path": "/own", "service": "api", "limits": ["1/h"]}
    free = {"path": "/free", "service": "api", "limits": []}
    routes: list[dict[str, object]] = [{"path": "/", "service": "api"}, {**own}, {**free}]
    async with answering() as server:
        settings = config(server.url, routes=routes, rate_limit="1/h")
        async with Gateway(settings) as proxy:
            lines = [f"GET {path} HTTP/1.1" for path in ("/a", "/b", "/own", "/own", "/free")]
            statuses = [(await ask(proxy, line=line)).status for line in lines]
            assert statuses == [200, 429, 200, 429, 200]


async def test_a_reload_forgets_no_limit() -> None:
    async with guarded(None, limits=["2/h"]) as (proxy, _):
        assert (await ask(proxy)).status == 200
        await proxy.reload(proxy.config)
        assert [(await ask(proxy)).status for _ in range(2)] == [200, 429]


async def test_who_may_not_come_uses_up_nothing(keys: Keys) -> None:
    limits = [{"rate": "1/h", "key": "route"}]
    async with guarded(accepting(keys), auth="required", limits=limits) as (proxy, _):
        for _ in range(3):
            assert (await ask(proxy)).status == 401
        assert (await ask(proxy, bearer(token()))).status == 200


async def test_refusals_are_counted() -> None:
    async with guarded(None, limits=[{"rate": "1/h", "name": "tiny"}]) as (proxy, _):
        for _ in range(3):
            await ask(proxy)
        metrics = (await ask(proxy, line="GET /metrics HTTP/1.1")).body

    assert b'proxy_limited_total{limit="tiny"} 2' in metrics
