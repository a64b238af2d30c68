"""The admin API over real sockets: what it shows, what it orders, and whom it lets in."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientSession
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import ValidationError

from tests.peers.gateways import SERVICE, config, eventually, gateway, service_of
from tests.peers.scripted import OK, Answering, answering, upstream
from tests.peers.wire import Wire, connect
from uaitools.proxy.admin import bounds
from uaitools.proxy.admin.redact import redacted
from uaitools.proxy.admin.server import Admin
from uaitools.proxy.gateway import Gateway

TOKEN = "a-token-of-the-operator"
GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
ENDPOINT = {"service": SERVICE}


class Operator:
    """Asks an admin API, over real sockets, with any headers."""

    def __init__(self, running: Gateway, admin: Admin, session: ClientSession) -> None:
        self.gateway = running
        self.url = f"http://127.0.0.1:{admin.address.port}"
        self._session = session

    async def ask(
        self, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[int, Any]:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self._session.request(
            method, self.url + path, json=body, headers=names
        ) as response:
            return response.status, await response.json()

    async def get(self, path: str, **headers: str) -> Any:
        status, document = await self.ask("GET", path, **headers)
        assert status == 200, document
        return document

    async def order(self, name: str, address: str, **more: object) -> Any:
        body = {**ENDPOINT, "address": address, **more}
        status, document = await self.ask("POST", f"/endpoints/{name}", body)
        assert status == 200, document
        return document


@contextlib.asynccontextmanager
async def operator(*endpoints: str, **settings: Any) -> AsyncIterator[Operator]:
    settings.setdefault("admin", "127.0.0.1:0")
    async with (
        gateway(*endpoints, **settings) as running,
        Admin(running) as admin,
        ClientSession() as session,
    ):
        yield Operator(running, admin, session)


async def ask(running: Gateway, times: int = 1) -> None:
    wire = await connect(running.address.port)
    for _ in range(times):
        wire.send(GET)
        assert (await wire.message()).status == 200
    wire.close()


def address(server: Answering) -> str:
    return server.url.removeprefix("http://")


# -- what is --------------------------------------------------------------------------------


async def test_services_and_endpoints_are_listed_with_their_counts() -> None:
    async with answering() as server, operator(server.url) as admin:
        await ask(admin.gateway, 3)
        services = await admin.get("/services")
        endpoints = await admin.get("/endpoints")
    (service,) = services["services"]
    assert (service["name"], service["requests"], services["workers"]) == (SERVICE, 3, 1)
    (endpoint,) = service["endpoints"]
    assert endpoints["endpoints"] == [endpoint]
    assert (endpoint["address"], endpoint["state"]) == (address(server), "healthy")
    assert (endpoint["service"], endpoint["successes"]) == (SERVICE, 3)


async def test_routes_are_listed_as_configured() -> None:
    routes = [{"path": "/a", "service": SERVICE, "methods": ["GET"]}]
    async with operator("http://127.0.0.1:9", routes=routes) as admin:
        (route,) = (await admin.get("/routes"))["routes"]
    assert (route["path"], route["methods"], route["service"]) == ("/a", ["GET"], SERVICE)


async def test_connections_are_listed_in_pages() -> None:
    release = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.head()
        await release.wait()
        wire.send(OK)
        await wire.rest()

    async with upstream(script) as server, operator(server.url) as admin:
        wires = [await connect(admin.gateway.address.port) for _ in range(5)]
        wires[0].send(GET)
        await server.accepted()
        seen: list[dict[str, Any]] = []
        offset: int | None = 0
        while offset is not None:
            page = await admin.get(f"/connections?limit=2&offset={offset}")
            assert (page["total"], len(page["connections"]) <= 2) == (5, True)
            seen += page["connections"]
            offset = page["next"]
        release.set()
        await wires[0].message()
        for wire in wires:
            wire.close()
    assert sorted(one["doing"] for one in seen) == ["head"] * 4 + ["wait"]
    (busy,) = [one for one in seen if one["doing"] == "wait"]
    assert (busy["method"], busy["route"], busy["service"]) == ("GET", "/", SERVICE)
    assert busy["endpoint"] == server.url.removeprefix("http://")


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "offset=-1", "limit=x", "limit=1.5"])
async def test_a_page_that_cannot_be_is_422_and_names_its_field(query: str) -> None:
    async with operator("http://127.0.0.1:9") as admin:
        status, document = await admin.ask("GET", f"/connections?{query}")
    assert status == 422
    assert document["details"][0]["field"] == query.partition("=")[0]


async def test_the_configuration_is_shown_without_secrets() -> None:
    async with operator("http://127.0.0.1:9", admin_token=TOKEN) as admin:
        document = await admin.get("/configuration", Authorization=f"Bearer {TOKEN}")
    assert document["proxy"]["admin_token"] == "**********"
    assert document["proxy"]["services"][SERVICE]["balance"] == "round_robin"
    assert TOKEN not in str(document)
    assert document["limits"]["on_error"] == "local"
    assert document["auth"] == {"keys_file": None, "jwt": [], "service_secret": None}


def test_whatever_is_called_like_a_secret_is_hidden_and_users_of_urls_as_well() -> None:
    document = {
        "redis_url": "redis://me:word@host/0",
        "auth": {"service_secret": "x", "passwords": ["y"], "keys_file": "/keys"},
        "empty_token": None,
    }
    assert redacted(document) == {
        "redis_url": "redis://**********@host/0",
        "auth": {
            "service_secret": "**********",
            "passwords": ["**********"],
            "keys_file": "/keys",
        },
        "empty_token": None,
    }


def test_what_clients_and_services_send_is_hidden_as_well() -> None:
    edits = {"set": {"Authorization": "Bearer x"}, "add": {"Cookie": "y"}, "remove": ["Via"]}
    document = {
        "request_headers": edits,
        "headers": {"X-Internal": "z"},
        "query": {"apikey": "q"},
        "redirect": {"to": "https://a/b?sig=w&plain=1"},
        "cors": {"headers": ["X-Field"]},
    }
    assert redacted(document) == {
        "request_headers": {
            "set": {"Authorization": "**********"},
            "add": {"Cookie": "**********"},
            "remove": ["Via"],
        },
        "headers": {"X-Internal": "**********"},
        "query": {"apikey": "**********"},
        "redirect": {"to": "https://a/b?sig=**********&plain=**********"},
        "cors": {"headers": ["X-Field"]},
    }


async def test_the_admin_api_has_few_connections_and_none_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bounds, "LIFETIME", 1.0)
    monkeypatch.setattr(bounds, "GRACE", 0.1)
    async with gateway(admin="127.0.0.1:0") as running, Admin(running) as admin:
        wires = [await connect(admin.address.port) for _ in range(bounds.CONNECTIONS)]
        await eventually(lambda: len(admin.connections.open) == bounds.CONNECTIONS)
        wires[0].send(b"GET /serv")  # and never more
        late = await connect(admin.address.port)
        await eventually(lambda: late.ended)
        late.close()
        assert admin.connections.refused == 1
        await eventually(lambda: all(wire.ended for wire in wires))
        await eventually(lambda: not admin.connections.open)
        for wire in wires:
            wire.close()


# -- orders ---------------------------------------------------------------------------------


async def test_a_drained_endpoint_finishes_what_it_has_and_begins_nothing() -> None:
    release = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.head()
        await release.wait()
        wire.send(OK)
        await wire.rest()

    async with (
        upstream(script) as slow,
        answering() as other,
        operator(slow.url, other.url) as admin,
    ):
        wire = await connect(admin.gateway.address.port)
        wire.send(GET)
        await slow.accepted()
        drained = await admin.order("drain", slow.url.removeprefix("http://"))
        assert (drained["state"], drained["cause"], drained["in_flight"]) == (
            "drained", "operator", 1,
        )  # fmt: skip
        await ask(admin.gateway, 20)
        assert len(slow.wires) == 1
        release.set()
        assert (await wire.message()).status == 200
        wire.close()


async def test_traffic_under_load_follows_drain_and_restore_without_a_failure() -> None:
    async with (
        answering() as first,
        answering() as second,
        operator(first.url, second.url, service={"breaker": {"ramp": 0}}) as admin,
    ):
        ended = asyncio.Event()

        async def load() -> int:
            wire = await connect(admin.gateway.address.port)
            count = 0
            while not ended.is_set():
                wire.send(GET)
                assert (await wire.message()).status == 200
                count += 1
            wire.close()
            return count

        loads = asyncio.gather(*(load() for _ in range(4)))
        for _ in range(10):
            await admin.order("drain", address(first))
            before = len(first.requests) + service_in_flight(admin.gateway)
            await ask(admin.gateway, 20)
            assert len(first.requests) <= before
            await admin.order("restore", address(first))
            now = len(first.requests)
            await ask(admin.gateway, 20)
            assert len(first.requests) > now
        ended.set()
        assert min(await loads) > 0


def service_in_flight(running: Gateway) -> int:
    return sum(endpoint.in_flight for endpoint in service_of(running).endpoints)


async def test_when_every_endpoint_is_drained_clients_are_told() -> None:
    async with answering() as server, operator(server.url) as admin:
        await admin.order("drain", address(server))
        wire = await connect(admin.gateway.address.port)
        wire.send(GET)
        answered = await wire.message()
        assert answered.status == 503
        assert b"drained" in answered.body
        await admin.order("restore", address(server))
        await ask(admin.gateway)
        wire.close()


async def test_an_ejected_endpoint_gets_nothing_until_it_is_restored() -> None:
    async with (
        answering() as first,
        answering() as second,
        operator(first.url, second.url, service={"breaker": {"ramp": 0}}) as admin,
    ):
        ejected = await admin.order("eject", address(first), seconds=600)
        assert (ejected["state"], ejected["cause"]) == ("ejected", "operator")
        await ask(admin.gateway, 10)
        assert (len(first.requests), len(second.requests)) == (0, 10)
        assert (await admin.order("restore", address(first)))["state"] in ("ramping", "healthy")
        await ask(admin.gateway, 10)
        assert len(first.requests) >= 5


async def test_a_weight_shifts_the_shares_and_null_gives_the_configured_one_back() -> None:
    async with (
        answering() as first,
        answering() as second,
        operator(first.url, second.url) as admin,
    ):
        assert (await admin.order("weight", address(first), weight=3))["weight"] == 3
        await ask(admin.gateway, 40)
        assert (len(first.requests), len(second.requests)) == (30, 10)
        assert (await admin.order("weight", address(first), weight=None))["weight"] == 1


async def test_drains_and_weights_survive_a_reload_and_leave_with_their_endpoint() -> None:
    async with (
        answering() as first,
        answering() as second,
        operator(first.url, second.url) as admin,
    ):
        await admin.order("drain", address(first))
        await admin.order("weight", address(second), weight=7)
        both, one = config(first.url, second.url), config(second.url)
        await admin.gateway.reload(both)
        seen = {one["address"]: one for one in (await admin.get("/endpoints"))["endpoints"]}
        assert seen[address(first)]["state"] == "drained"
        assert seen[address(second)]["weight"] == 7
        await admin.gateway.reload(one)
        await admin.gateway.reload(both)
        seen = {one["address"]: one for one in (await admin.get("/endpoints"))["endpoints"]}
        assert seen[address(first)]["state"] == "healthy"
        assert seen[address(second)]["weight"] == 7


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/endpoints/drain", {"service": "nobody", "address": "127.0.0.1:9"}, 404),
        ("/endpoints/drain", {"service": SERVICE, "address": "127.0.0.1:10"}, 404),
        ("/endpoints/drain", {"service": SERVICE}, 422),
        ("/endpoints/drain", {"service": SERVICE, "address": 9}, 422),
        ("/endpoints/drain", {"service": SERVICE, "address": "x", "force": True}, 422),
        ("/endpoints/drain", [], 422),
        ("/endpoints/weight", {"service": SERVICE, "address": "127.0.0.1:9", "weight": 0}, 422),
        ("/endpoints/weight", {"service": SERVICE, "address": "127.0.0.1:9"}, 422),
        ("/endpoints/eject", {"service": SERVICE, "address": "127.0.0.1:9", "seconds": -1}, 422),
        ("/endpoints/kill", {}, 404),
        ("/reload", None, 501),
    ],
)
async def test_a_wrong_order_has_the_right_status_in_the_one_shape(
    path: str, body: Any, status: int
) -> None:
    async with operator("http://127.0.0.1:9") as admin:
        code, document = await admin.ask("POST", path, body)
    assert (code, document["code"], document["service"]) == (status, status, "proxy")
    assert set(document) <= {"code", "message", "service", "request_id", "details"}


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [("text/plain", b"{}", 415), ("application/json", b"{", 400), ("application/json", b"", 400)],
)
async def test_an_order_that_is_no_json_is_refused(kind: str, body: bytes, status: int) -> None:
    async with operator("http://127.0.0.1:9") as admin, ClientSession() as session:
        url = f"{admin.url}/endpoints/drain"
        async with session.post(url, data=body, headers={"Content-Type": kind}) as response:
            assert response.status == status


async def test_a_wrong_method_says_which_are_right() -> None:
    async with (
        operator("http://127.0.0.1:9") as admin,
        ClientSession() as session,
        session.get(f"{admin.url}/endpoints/drain") as response,
    ):
        assert (response.status, response.headers["Allow"]) == (405, "POST")


# -- who may --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8091", "127.0.0.1.evil.example", "localhost.evil.example", ""],
)
async def test_a_name_that_was_rebound_to_loopback_is_misdirected(host: str) -> None:
    async with operator("http://127.0.0.1:9") as admin:
        status, document = await admin.ask("GET", "/services", Host=host)
    assert (status, document["code"]) == (421, 421)


@pytest.mark.parametrize("host", ["127.0.0.1:1", "localhost:8091", "[::1]:8091", "LOCALHOST"])
async def test_addresses_and_localhost_are_let_in(host: str) -> None:
    async with operator("http://127.0.0.1:9") as admin:
        assert (await admin.ask("GET", "/services", Host=host))[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
async def test_pages_of_other_origins_are_kept_out_even_with_the_token(
    headers: dict[str, str],
) -> None:
    async with answering() as server, operator(server.url, admin_token=TOKEN) as admin:
        body = {**ENDPOINT, "address": address(server)}
        authorized = {"Authorization": f"Bearer {TOKEN}", **headers}
        status, _ = await admin.ask("POST", "/endpoints/drain", body, **authorized)
        assert status == 403
        assert all(endpoint.healthy for endpoint in service_of(admin.gateway).endpoints)


async def test_a_page_of_the_api_itself_may_use_it() -> None:
    async with operator("http://127.0.0.1:9") as admin:
        assert await admin.get("/services", Origin=admin.url, Sec_Fetch_Site="same-origin")


@pytest.mark.parametrize(
    "given",
    [
        None, "Bearer", "Bearer ", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN.upper()}", "Bearer \u00e4\u00f6",
    ],
)  # fmt: skip
async def test_without_the_right_token_nothing_is_told_or_done(given: str | None) -> None:
    headers = {} if given is None else {"Authorization": given}
    async with operator("http://127.0.0.1:9", admin_token=TOKEN) as admin:
        for path in ("/services", "/configuration", "/openapi.json", "/metrics", "/nowhere"):
            status, document = await admin.ask("GET", path, **headers)
            assert status == 401
            assert TOKEN not in str(document)
        assert (await admin.ask("POST", "/endpoints/drain", {}, **headers))[0] == 401
        assert (await admin.ask("GET", "/health"))[0] == 200
        assert await admin.get("/services", Authorization=f"bearer {TOKEN}")


def test_an_address_that_others_reach_needs_a_token() -> None:
    with pytest.raises(ValidationError, match="set admin_token"):
        config("http://127.0.0.1:9", admin="0.0.0.0:8091")
    assert config("http://127.0.0.1:9", admin="0.0.0.0:8091", admin_token=TOKEN).admin is not None


def test_a_short_token_is_refused_and_a_token_never_shown() -> None:
    with pytest.raises(ValidationError, match="at least 16") as refused:
        config("http://127.0.0.1:9", admin_token="short-secret")
    assert "short-secret" not in str(refused.value)
    assert TOKEN not in repr(config("http://127.0.0.1:9", admin_token=TOKEN))


# -- its document ---------------------------------------------------------------------------


async def test_the_document_is_valid_openapi_and_names_every_path() -> None:
    async with operator("http://127.0.0.1:9", admin_token=TOKEN) as admin:
        document = await admin.get("/openapi.json", Authorization=f"Bearer {TOKEN}")
        OpenAPIV31SpecValidator(document).validate()
        assert document["openapi"] == "3.1.0"
        for path, operations in document["paths"].items():
            for method in operations:
                status, _ = await admin.ask(method.upper(), path)
                assert status == 401, "it exists, and is guarded"
    assert len(document["paths"]) == 10
