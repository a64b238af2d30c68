import time
from collections.abc import Awaitable, Callable
from typing import Any

import jwt
import pytest
from aiohttp import web
from aiohttp.pytest_plugin import AiohttpClient
from aiohttp.test_utils import TestClient

from tests.peers.redis import RedisServer
from uaitools.auth.authenticator import Authenticator
from uaitools.auth.config import AuthConfig
from uaitools.auth.middleware import access
from uaitools.limits.config import LimitsConfig
from uaitools.limits.front import Limits
from uaitools.limits.limit import Limit
from uaitools.metrics import Snapshot
from uaitools.traffic.limits import Rate
from uaitools.web import Health, application

Client = TestClient[web.Request, web.Application]
Serve = Callable[..., Awaitable[Client]]
SECRET = "thirty-two bytes of a test's secret"


def user(name: str) -> dict[str, str]:
    token = jwt.encode({"sub": name, "exp": time.time() + 60}, SECRET, "HS256")
    return {"Authorization": f"Bearer {token}"}


async def snapshot() -> Snapshot:
    return Snapshot.of([])


@pytest.fixture
def serve(aiohttp_client: AiohttpClient) -> Serve:
    async def serve(*rules: Limit, redis_url: str | None = None) -> Client:
        limits = Limits(LimitsConfig(slots=64), redis_url=redis_url)
        auth = AuthConfig.model_validate({"jwt": {"secret": SECRET}})
        authenticator = Authenticator(auth, audience="memory")

        @access("optional")
        async def things(_request: web.Request) -> web.Response:
            return web.Response(text="thing")

        @access("none")
        async def stream(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(b"begun")
            return response

        @access("none")
        async def missing(_request: web.Request) -> web.Response:
            raise web.HTTPNotFound

        async def stop(_app: web.Application) -> None:
            await limits.stop()
            await authenticator.stop()

        app = application(
            "memory",
            health=lambda: Health({}),
            snapshot=snapshot,
            authenticator=authenticator,
            limits=limits,
            rules=rules,
        )
        app.router.add_get("/things/{id}", things)
        app.router.add_get("/stream", stream)
        app.router.add_get("/missing", missing)
        app.on_cleanup.append(stop)
        await limits.start()
        await authenticator.start()
        return await aiohttp_client(app)

    return serve


async def test_an_answer_tells_what_is_left_and_a_refusal_when_to_come_again(serve: Serve) -> None:
    client = await serve(Limit("api", Rate(2, 60, 2)))

    left = []
    for _ in range(2):
        response = await client.get("/things/1")
        assert response.headers["RateLimit-Policy"] == '"api";q=2;w=60'
        left.append(response.headers["RateLimit"])
    refused = await client.get("/things/1", headers={"X-Request-Id": "r-1"})

    assert left[0].startswith('"api";r=1;t=')
    assert left[1].startswith('"api";r=0;t=')
    assert refused.status == 429
    assert refused.headers["Retry-After"] == "30"
    assert refused.headers["RateLimit"] == '"api";r=0;t=30'
    body: dict[str, Any] = await refused.json()
    assert body == {
        "code": 429,
        "message": "the limit api of 2/m is used up; try again in 30 s",
        "service": "memory",
        "request_id": "r-1",
    }


async def test_a_stream_and_an_error_tell_it_as_well(serve: Serve) -> None:
    client = await serve(Limit("api", Rate(10, 60, 10)))

    for path in ("/stream", "/missing", "/nowhere"):
        response = await client.get(path, headers=user("a"))
        assert response.headers["RateLimit"].startswith('"api";r=')


async def test_callers_are_counted_apart_and_anonymous_ones_by_address(serve: Serve) -> None:
    client = await serve(Limit("api", Rate(1, 60, 1)))

    statuses = [
        (await client.get("/things/1", headers=headers)).status
        for headers in (user("a"), user("b"), {}, user("a"), {})
    ]

    assert statuses == [200, 200, 200, 429, 429]


async def test_who_is_refused_for_a_credential_uses_nothing_up(serve: Serve) -> None:
    client = await serve(Limit("api", Rate(1, 60, 1), "address"))

    wrong = {"Authorization": "Bearer wrong"}
    assert [(await client.get("/things/1", headers=wrong)).status for _ in range(3)] == [401] * 3
    assert (await client.get("/things/1")).status == 200


async def test_a_route_is_its_template_however_its_path_is_spelled(serve: Serve) -> None:
    client = await serve(Limit("api", Rate(2, 60, 2), "route"))

    paths = ("/things/1", "/things/%31?x=1", "/things/2")
    assert [(await client.get(path)).status for path in paths] == [200, 200, 429]
    assert (await client.get("/stream")).status == 200


async def test_paths_that_nothing_serves_are_one_route(serve: Serve) -> None:
    client = await serve(Limit("api", Rate(1, 60, 1), "route"))

    statuses = [(await client.get(f"/nowhere/{n}", headers=user("a"))).status for n in range(3)]
    assert statuses == [404, 429, 429]


async def test_header_values_that_mean_the_same_are_one_key(serve: Serve) -> None:
    client = await serve(Limit("api", Rate(1, 60, 1), "header:origin"))

    origins = ("https://a.example", "HTTPS://A.EXAMPLE", "https://b.example")
    assert [
        (await client.get("/things/1", headers={"oRiGiN": origin})).status for origin in origins
    ] == [200, 429, 200]


async def test_health_has_no_limit(serve: Serve) -> None:
    client = await serve(Limit("api", Rate(1, 60, 1)))

    for _ in range(3):
        response = await client.get("/health")
        assert (response.status, "RateLimit" in response.headers) == (200, False)


async def test_applications_on_one_redis_share_the_limit(serve: Serve, redis: RedisServer) -> None:
    rule = Limit("api", Rate(3, 60, 3))
    clients = [await serve(rule, redis_url=redis.url) for _ in range(2)]

    statuses = [(await clients[n % 2].get("/things/1")).status for n in range(6)]

    assert statuses == [200, 200, 200, 429, 429, 429]
