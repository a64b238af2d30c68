"""Pages of other origins: preflights answered by the gateway, and the headers of all answers."""

from collections.abc import Mapping
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from pydantic import ValidationError

from tests.peers.gateways import config, gateway
from tests.peers.scripted import answer, answering
from tests.peers.wire import Message, connect
from uaitools.cors import CorsSettings
from uaitools.metrics import Snapshot
from uaitools.proxy.gateway import Gateway
from uaitools.web import Health, application

APP = b"https://app.example.org"
CORS: dict[str, object] = {
    "origins": [APP.decode()],
    "headers": ["Authorization", "Content-Type"],
    "expose": ["X-Total"],
    "credentials": True,
    "max_age": 60,
}


def routes(**cors: object) -> list[dict[str, object]]:
    return [{"path": "/x", "service": "api", "methods": ["GET", "PUT"], "cors": {**CORS, **cors}}]


async def ask(
    running: Gateway, method: bytes = b"GET", path: bytes = b"/x", **fields: bytes
) -> Message:
    lines = b"".join(
        b"%b: %b\r\n" % (name.replace("_", "-").encode(), value) for name, value in fields.items()
    )
    wire = await connect(running.address.port)
    wire.send(b"%b %b HTTP/1.1\r\nHost: a\r\n%b\r\n" % (method, path, lines))
    answered = await wire.message(to=method.decode())
    wire.close()
    return answered


async def preflight(running: Gateway, origin: bytes = APP, method: bytes = b"PUT") -> Message:
    return await ask(running, b"OPTIONS", Origin=origin, Access_Control_Request_Method=method)


async def test_a_preflight_is_answered_without_the_upstream() -> None:
    async with answering() as server, gateway(server.url, routes=routes()) as proxy:
        answered = await preflight(proxy)
        assert server.requests == []
    assert answered.status == 204
    assert answered["access-control-allow-origin"] == APP
    assert answered["access-control-allow-credentials"] == b"true"
    assert answered["access-control-allow-methods"] == b"GET, PUT"
    assert answered["access-control-allow-headers"] == b"Authorization, Content-Type"
    assert answered["access-control-max-age"] == b"60"
    assert answered["vary"].startswith(b"Origin, ")
    assert "x-request-id" in answered


async def test_a_preflight_of_a_foreign_origin_gets_nothing_to_go_on() -> None:
    async with answering() as server, gateway(server.url, routes=routes()) as proxy:
        answered = await preflight(proxy, b"https://evil.example")
        assert server.requests == []
    assert answered.status == 204
    assert not [name for name, _ in answered.fields if name.startswith("access-control")]


async def test_options_that_are_no_preflight_are_a_request_like_others() -> None:
    options = [{"path": "/x", "service": "api", "cors": CORS}]
    async with answering() as server, gateway(server.url, routes=options) as proxy:
        assert (await ask(proxy, b"OPTIONS", Origin=APP)).status == 200
        assert server.requests[0].start.startswith(b"OPTIONS /x")


async def test_a_preflight_to_a_route_without_rules_reaches_its_upstream() -> None:
    async with answering() as server, gateway(server.url) as proxy:
        assert (await preflight(proxy)).status == 200
        assert len(server.requests) == 1


async def test_an_answer_has_our_lines_and_none_of_the_upstreams() -> None:
    theirs = b"Access-Control-Allow-Origin: *\r\naccess-control-max-age: 9\r\nVary: Accept\r\n"
    served = answer(headers=theirs)
    async with answering(served) as server, gateway(server.url, routes=routes()) as proxy:
        ours = await ask(proxy, Origin=APP)
        foreign = await ask(proxy, Origin=b"https://evil.example")
        without = await ask(proxy)
        assert len(server.requests) == 3, "who is not listed is served, too"
    assert ours["access-control-allow-origin"] == APP
    assert ours["access-control-expose-headers"] == b"X-Total"
    assert "access-control-max-age" not in ours
    for answered in (foreign, without):
        assert not [name for name, _ in answered.fields if name.startswith("access-control")]
        assert answered.all("vary") == [b"Accept", b"Origin"]
        assert answered.body == b"ok"


async def test_a_streamed_answer_has_our_lines_as_well() -> None:
    served = b"HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nTransfer-Encoding: chunked\r\n"
    body = b"\r\n2\r\nok\r\n0\r\n\r\n"
    async with answering(served + body) as server, gateway(server.url, routes=routes()) as proxy:
        answered = await ask(proxy, Origin=APP)
    assert (answered["access-control-allow-origin"], answered.body) == (APP, b"ok")


async def test_a_script_may_read_the_gateways_own_errors() -> None:
    async with answering() as server:
        url = server.url
    async with gateway(url, routes=routes()) as proxy:
        answered = await ask(proxy, Origin=APP)
    assert answered.status == 502
    assert answered["access-control-allow-origin"] == APP


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"origins": ["*"], "credentials": True}, "cannot be had with credentials"),
        ({"origins": ["https://a"], "expose": ["*"], "credentials": True}, "cannot be had"),
        ({"origins": []}, "at least 1 item"),
        ({"origins": ["https://a/"]}, "is no origin"),
        ({"origins": ["https://A.example"]}, "is no origin"),
        ({"origins": ["https://a:443"]}, "is no origin"),
        ({"origins": ["a.example"]}, "is no origin"),
        ({"origins": ["https://*.example"]}, "is no origin"),
        ({"origins": ["*"], "headers": ["X-A\r\nX-B"]}, "is not the name"),
        ({"origins": ["*"], "max_age": 90_000}, "less than or equal to 86400"),
    ],
)
def test_wrong_rules_are_refused_at_start(settings: Mapping[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem.replace("*", r"\*")):
        config("http://a", routes=[{"path": "/", "service": "api", "cors": settings}])


# -- our own applications -------------------------------------------------------------------


async def test_native_paths_have_rules_of_their_own() -> None:
    cors = {"origins": [APP.decode()]}
    async with answering() as server, gateway(server.url, cors=cors) as proxy:
        answered = await ask(proxy, path=b"/health", Origin=APP)
        asked = {"Access_Control_Request_Method": b"GET", "Origin": APP}
        allowed = await ask(proxy, b"OPTIONS", b"/api/status", **asked)
        foreign = await ask(proxy, path=b"/health", Origin=b"https://evil.example")
    assert answered["access-control-allow-origin"] == APP
    assert answered["vary"] == b"Origin"
    assert allowed.status == 200
    assert allowed["access-control-allow-methods"] == b"GET"
    assert "access-control-allow-origin" not in foreign


async def test_an_application_has_rules_for_routes_that_are_added_later() -> None:
    async def snapshot() -> Snapshot:
        return Snapshot.of([])

    async def thing(_request: web.Request) -> web.Response:
        raise web.HTTPNotFound

    settings = CorsSettings(origins=(APP.decode(),))
    app = application("memory", health=lambda: Health({}), snapshot=snapshot, cors=settings)
    app.router.add_get("/thing", thing)
    async with TestClient[web.Request, web.Application](TestServer(app)) as client:
        answered = await client.get("/thing", headers={"Origin": APP.decode()})
        asked = {"Origin": APP.decode(), "Access-Control-Request-Method": "PUT"}
        refused = await client.options("/thing", headers=asked)
        assert answered.status == 404
        assert answered.headers["Access-Control-Allow-Origin"] == APP.decode()
        assert refused.status == 403
        assert (await refused.json())["service"] == "memory"
